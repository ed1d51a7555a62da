import { describe, expect, test } from "bun:test"
import { parse } from "../src/internal/cgroupTree.ts"

const v2 = "25 20 0:22 / /sys/fs/cgroup rw,nosuid shared:9 - cgroup2 cgroup2 rw,nsdelegate"

describe("the place of this process in the tree of cgroups", () => {
  test("in a scope of its own", () => {
    const scope = "/user.slice/user-1000.slice/user@1000.service/app.slice/run-7.scope"
    expect(parse(`0::${scope}\n`, v2)).toEqual({ base: `/sys/fs/cgroup${scope}`, v1: [] })
  })

  test("once it has moved aside, is where it was before", () => {
    expect(parse("0::/a.scope/capsa-host\n", v2).base).toBe("/sys/fs/cgroup/a.scope")
  })

  test("with a part of the tree mounted", () => {
    const part = "25 20 0:22 /docker/abc /sys/fs/cgroup rw - cgroup2 cgroup rw"
    expect(parse("0::/docker/abc\n", part).base).toBe("/sys/fs/cgroup")
    expect(parse("0::/docker/abc/x\n", part).base).toBe("/sys/fs/cgroup/x")
    expect(parse("0::/docker/abcd\n", part).base).toBeUndefined()
  })

  test("outside of what its namespace shows", () => {
    expect(parse("0::/../other\n", v2).base).toBeUndefined()
  })

  test("on a host with both versions", () => {
    const mounts = [
      "32 31 0:29 / /sys/fs/cgroup/cpu,cpuacct rw - cgroup cgroup rw,cpu,cpuacct",
      "39 31 0:36 / /sys/fs/cgroup/blkio rw - cgroup cgroup rw,blkio",
      "41 31 0:38 / /sys/fs/cgroup/unified rw - cgroup2 cgroup2 rw"
    ].join("\n")
    const { base, v1 } = parse("8:cpu,cpuacct:/x\n1:name=systemd:/\n0::/y\n", mounts)
    expect(base).toBe("/sys/fs/cgroup/unified/y")
    expect(v1).toContain("cpu")
    expect(v1).toContain("io")
  })

  test("on a host with version 1 alone", () => {
    const mounts = "39 31 0:36 / /sys/fs/cgroup/memory rw - cgroup cgroup rw,memory"
    const { base, v1 } = parse("2:memory:/x\n", mounts)
    expect(base).toBeUndefined()
    expect(v1).toContain("memory")
  })

  test("without any", () => {
    expect(parse("", "1 0 0:1 / / rw - ext4 /dev/sda rw")).toEqual({ base: undefined, v1: [] })
  })
})
