/** Checks that read files themselves. */
import { describe, expect, test } from "bun:test"
import { format, runChecks } from "../../src/Checks.ts"
import { explainedIn, problemsIn, unexplainedSystemPackages } from "../../src/check/dependencies.ts"
import { failures } from "../../src/check/failures.ts"
import { files } from "../../src/check/files.ts"
import { isAllowed, licences } from "../../src/check/licences.ts"
import { anchorsIn, links } from "../../src/check/links.ts"
import { markers } from "../../src/check/markers.ts"
import { parseLock } from "../../src/LockFile.ts"
import { Progress } from "../../src/Progress.ts"
import { borrowPackages, treeWith } from "../fixtures/folder.ts"

test("a tree has the files that git would commit, and no others", async () => {
  await using tree = await treeWith({ "b.txt": "", "a ä.txt": "", "build/x.o": "", ".gitignore": "build/\n" })
  expect(tree.files).toEqual([".gitignore", "a ä.txt", "b.txt"])
})

test("a check that cannot run has found something", async () => {
  await using tree = await treeWith({})
  const broken = { name: "broken", run: () => Promise.reject(new Error("no such tool")) }
  const [result] = await runChecks(tree, new Progress({ write: () => {} }), [broken])
  expect(format(result?.findings ?? [])).toBe("broken: could not run: Error: no such tool\n")
})

describe("files", () => {
  test("finds what is large, binary or in another encoding", async () => {
    await using tree = await treeWith({
      "ok.txt": "ä".repeat(100),
      "large.txt": "x".repeat(200 * 1024 + 1),
      "binary.o": new Uint8Array([65, 0, 66]),
      "latin1.txt": new Uint8Array([0xe4])
    })
    expect(await files.run(tree)).toEqual([
      { where: "binary.o", what: "binary" },
      { where: "large.txt", what: "201 KiB; at most 200" },
      { where: "latin1.txt", what: "not UTF-8 text" }
    ])
  })
})

describe("markers", () => {
  test("finds each way to say that something is unfinished", async () => {
    const lines = [
      "fine",
      "// TO" + "DO: later",
      "FIX" + "ME",
      "X" + "XX",
      "Not impl" + "emented",
      "unimpl" + "emented",
      "test.todo"
    ]
    await using tree = await treeWith({ "a.c": lines.join("\n"), "b.sh": "mktemp capsa.XXXXXX" })
    expect((await markers.run(tree)).map(({ where }) => where)).toEqual([2, 3, 4, 5, 6].map((line) => `a.c:${line}`))
  })
})

describe("links", () => {
  test("finds files and headings that are not there", async () => {
    await using tree = await treeWith({
      "README.md": [
        "# Title",
        "[a](docs/A.md) [b](docs/B.md) [c](docs/A.md#one-two) [d](docs/A.md#three)",
        "[e](#title) [f](#titel) [g](https://example.org/x) `[h](nowhere)`",
        "```",
        "[i](nowhere)",
        "```",
        "![j](picture.svg)",
        "[k]: docs/K.md"
      ].join("\n"),
      "docs/A.md": "## One, `two`!\n[up](../README.md) [out](../../etc/passwd)"
    })
    expect((await links.run(tree)).map(({ what, where }) => `${where} ${what}`)).toEqual([
      "README.md:2 docs/B.md leads nowhere",
      "README.md:2 docs/A.md#three: no such anchor",
      "README.md:3 #titel: no such anchor",
      "README.md:7 picture.svg leads nowhere",
      "README.md:8 docs/K.md leads nowhere",
      "docs/A.md:2 ../../etc/passwd leads nowhere"
    ])
  })

  test("knows how headings become anchors", () => {
    const markdown = '# A `b_c` & D\n## Same\n## Same\n### See [this](x.md)\n```\n# no\n```\n| <a id="own"></a>x |\n'
    expect([...anchorsIn(markdown)]).toEqual(["a-b_c--d", "same", "same-1", "see-this", "own"])
  })
})

describe("failures", () => {
  test("finds a class of errors without a table, and a page that is not what the code says", async () => {
    await using tree = await treeWith({
      "docs/FAILURES.md": "| KnownError | what happened | retryable | what to do |\n",
      "docs/examples/failures/page.ts":
        "console.error('docs/FAILURES.md:1: differs', process.argv.at(-1)); process.exit(1)",
      "packages/core/src/KnownError.ts": "export class KnownError extends Schema.TaggedError<KnownError>()",
      "packages/core/src/NewError.ts": "export class NewError extends Schema.TaggedError<NewError>()",
      "packages/guest/src/InnerError.ts": "export class InnerError extends Schema.TaggedError<InnerError>()"
    })
    expect((await failures.run(tree)).map(({ what, where }) => `${where} ${what}`)).toEqual([
      "docs/FAILURES.md no table for NewError: add its reasons in core/src/Failure.ts",
      "docs/FAILURES.md:1 differs --check"
    ])
  })
})

describe("dependencies", () => {
  test("wants exact versions and reasons, for the catalog too", () => {
    const manifest = {
      dependencies: { good: "1.2.3", loose: "^1.2.3", mine: "workspace:*", listed: "catalog:" },
      devDependencies: { unknown: "1.0.0-rc.1", any: "latest" },
      workspaces: { catalog: { listed: "1.x" } }
    }
    const explained = explainedIn(
      "| package | why |\n|---|---|\n| `good`, `loose` | x |\n| `listed` | `y` |\n| `any` | z |"
    )
    expect(problemsIn(manifest, explained)).toEqual([
      "loose ^1.2.3: not an exact version",
      "unknown: no row in docs/DEPENDENCIES.md says why it is there",
      "any latest: not an exact version",
      "listed 1.x: not an exact version"
    ])
  })

  test("wants a reason for each system package", () => {
    expect(unexplainedSystemPackages(new Set(["gcc"]))).not.toContain("gcc")
    expect(unexplainedSystemPackages(new Set(["gcc"]))).toContain("make")
  })
})

describe("licences", () => {
  test("a choice with an allowed licence is allowed, a combination with another is not", () => {
    const judged = ["MIT", "(MIT OR GPL-3.0-only)", "MIT AND GPL-3.0-only", "GPL-3.0-only", "unstated"].map(isAllowed)
    expect(judged).toEqual([true, true, false, false, false])
  })

  test("finds a locked package with another licence, and one that is not installed here though it should be", async () => {
    await using tree = await treeWith({
      "bun.lock": `{ "packages": {
        "ours": ["ours@workspace:packages/ours"],
        "fine": ["fine@1.0.0", "", {}, "sha512-x"],
        "closed": ["closed@2.0.0", "", {}, "sha512-x"],
        "absent": ["absent@3.0.0", "", {}, "sha512-x"],
        "elsewhere": ["elsewhere@4.0.0", "", { "os": "darwin" }, "sha512-x"],
      } }`,
      "node_modules/.bun/fine@1.0.0/node_modules/fine/package.json":
        '{"name":"fine","version":"1.0.0","license":"MIT"}',
      "node_modules/.bun/closed@2.0.0/node_modules/closed/package.json": '{"name":"closed","version":"2.0.0"}'
    })
    expect(format(await licences.run(tree))).toBe(
      "bun.lock: closed@2.0.0: licence unstated is not allowed\n" +
        "bun.lock: absent@3.0.0: not in node_modules, so its licence is unknown: run `bun install --frozen-lockfile`\n"
    )
  })

  test("reads the real lock file and what it installed", async () => {
    await using tree = await treeWith({ "bun.lock": await Bun.file(`${import.meta.dir}/../../../../bun.lock`).text() })
    await borrowPackages(tree)
    expect(parseLock(await tree.read("bun.lock")).length).toBeGreaterThan(20)
    expect(await licences.run(tree)).toEqual([])
  })
})
