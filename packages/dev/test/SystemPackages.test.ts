import { describe, expect, test } from "bun:test"
import { aptStatus, instructions, parseCandidates } from "../src/PackageManager.ts"
import { missing, namesFor, type SystemPackage, systemPackages } from "../src/SystemPackages.ts"

const wanted = (name: string, overrides: Partial<SystemPackage> = {}): SystemPackage => ({
  isPresent: () => false,
  purpose: "demo",
  essential: true,
  why: `why ${name}`,
  names: { apt: name, dnf: `${name}-devel` },
  ...overrides
})

describe("the list", () => {
  test("names each package for apt, which set-up installs with", () => {
    expect(systemPackages.filter(({ names }) => names.apt === undefined)).toEqual([])
  })

  test("tests need all that the demonstration needs", () => {
    const packages = [wanted("a"), wanted("b", { purpose: "tests" }), wanted("c", { isPresent: () => true })]
    expect(namesFor("apt", missing("demo", packages))).toEqual(["a"])
    expect(namesFor("apt", missing("tests", packages))).toEqual(["a", "b"])
  })

  test("a package that serves twice is installed once; some managers split one", () => {
    expect(namesFor("dnf", [wanted("a"), wanted("a")])).toEqual(["a-devel"])
    expect(namesFor("apt", [wanted("a b")])).toEqual(["a", "b"])
    expect(namesFor("brew", [wanted("a")])).toEqual([])
  })
})

describe("instructions", () => {
  test("are a command to paste, and the reasons", () => {
    expect(instructions("dnf", [wanted("a"), wanted("b")], true)).toBe(
      "dnf install a-devel b-devel\n  a-devel: why a\n  b-devel: why b"
    )
    expect(instructions("apt", [wanted("a")], false)).toStartWith("sudo apt-get install --no-install-recommends a\n")
  })

  test("say what a manager doesn't have", () => {
    expect(instructions("brew", [wanted("a")], false)).toBe("  (no package for brew) a: why a")
  })

  test("without a known manager are the reasons", () => {
    expect(instructions(undefined, [wanted("a")], false)).toBe(
      "install these with this system's package manager:\n  a: why a"
    )
  })
})

test("of apt's policy output, only what has a candidate can be installed", () => {
  const policy = `gcc:
  Installed: 4:12.2.0-3
  Candidate: 4:12.2.0-3
  Version table:
 *** 4:12.2.0-3 500
virtual:
  Installed: (none)
  Candidate: (none)
  Version table:
make:
  Installed: (none)
  Candidate: 4.3-4.1
`
  expect(parseCandidates(policy)).toEqual(["gcc", "make"])
})

test("apt's status lines become percentages, others stay", () => {
  expect(aptStatus("dlstatus:1:23.4567:Retrieving file 1 of 9")).toBe("23 % Retrieving file 1 of 9")
  expect(aptStatus("pmstatus:dpkg-exec:50.1:Running dpkg")).toBe("50 % Running dpkg")
  expect(aptStatus("pmstatus:libc6:amd64:99.9:Unpacking libc6:amd64 (amd64)")).toBe(
    "100 % Unpacking libc6:amd64 (amd64)"
  )
  expect(aptStatus("Get:1 somewhere")).toBe("Get:1 somewhere")
})
