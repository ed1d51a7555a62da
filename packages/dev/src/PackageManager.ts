/**
 * Gets system packages installed, or says how.
 *
 * @since 0.1.0
 */
import { run } from "./Command.ts"
import { DevError } from "./DevError.ts"
import type { Progress, Report } from "./Progress.ts"
import { type Manager, missing, namesFor, type Purpose, type SystemPackage } from "./SystemPackages.ts"

/** What a person types to install packages, without the packages. */
const installCommands: Record<Manager, string> = {
  apt: "apt-get install --no-install-recommends",
  dnf: "dnf install",
  pacman: "pacman -S --needed",
  apk: "apk add",
  brew: "brew install"
}

/** The package manager of this system, if we know it. */
const managerHere = (): Manager | undefined => {
  const programs: ReadonlyArray<readonly [Manager, string]> = [
    ["dnf", "dnf"],
    ["pacman", "pacman"],
    ["apk", "apk"],
    ["apt", "apt-get"],
    ["brew", "brew"]
  ]
  return programs.find(([, program]) => Bun.which(program) !== null)?.[0]
}

const isRoot = (): boolean => process.getuid?.() === 0

/**
 * What a person has to do to get `packages`: a command where the system's package manager is known, else a list.
 */
export const instructions = (
  manager: Manager | undefined,
  packages: ReadonlyArray<SystemPackage>,
  root: boolean = isRoot()
): string => {
  const reasons = packages.map((_) => `  ${label(manager, _)}: ${_.why}`).join("\n")
  if (manager === undefined) return `install these with this system's package manager:\n${reasons}`
  const sudo = root || manager === "brew" ? "" : "sudo "
  const names = namesFor(manager, packages)
  const command = names.length === 0 ? "" : `${sudo}${installCommands[manager]} ${names.join(" ")}\n`
  return `${command}${reasons}`
}

const label = (manager: Manager | undefined, wanted: SystemPackage): string => {
  if (manager === undefined) return wanted.names.apt ?? wanted.names.dnf ?? "a package"
  return wanted.names[manager] ?? `(no package for ${manager}) ${wanted.names.apt}`
}

/**
 * Installs what is missing for a purpose: with apt by itself (through sudo, which may ask for a password), elsewhere by
 * telling the contributor what to install. Missing packages that are not essential are mentioned only.
 */
export const ensure = async (purpose: Purpose, progress: Progress): Promise<void> => {
  const wanted = missing(purpose)
  if (wanted.length === 0) return
  const manager = managerHere()
  if (manager === "apt") await installWithApt(wanted, progress)
  const still = missing(purpose)
  if (still.length === 0) return
  if (still.some((_) => _.essential)) {
    throw new DevError("system packages are missing", instructions(manager, still))
  }
  progress.line(`some tests will be skipped without these: ${instructions(manager, still)}`)
}

/** How long another apt may hold its locks. */
const lockWaitSeconds = 600

const installWithApt = async (wanted: ReadonlyArray<SystemPackage>, progress: Progress): Promise<void> => {
  const essential = wanted.some((_) => _.essential)
  // What this release doesn't have and nobody must have is not worth fetching package lists for, each time again.
  if (!essential && (await candidates(wanted)).length === 0) return
  const asRoot = await becomeRoot(wanted, progress)
  if (asRoot === undefined) return
  await progress.step("package lists", (report) => apt([...asRoot, "apt-get", "-q", "update"], report))
  const names = await candidates(wanted)
  if (names.length === 0) return
  progress.line(`installing ${names.join(" ")}`)
  await progress.step("system packages", (report) =>
    apt([...asRoot, "apt-get", "-q", "-y", "install", "--no-install-recommends", ...names], report)
  )
}

/** The names of those packages that this release has. */
const candidates = async (wanted: ReadonlyArray<SystemPackage>): Promise<ReadonlyArray<string>> => {
  const names = namesFor("apt", wanted)
  return parseCandidates((await run(["apt-cache", "policy", ...names], { env: { LC_ALL: "C" } })).stdout)
}

/** The names in the output of `apt-cache policy` that can be installed. */
export const parseCandidates = (policy: string): ReadonlyArray<string> =>
  [...policy.matchAll(/^(\S+):\n {2}Installed: .*\n {2}Candidate: (.*)$/gm)].flatMap(([, name, candidate]) =>
    name === undefined || candidate === "(none)" ? [] : [name]
  )

/** Words that run a command as root, having asked for a password where one is needed; none if root is out of reach. */
const becomeRoot = async (
  wanted: ReadonlyArray<SystemPackage>,
  progress: Progress
): Promise<ReadonlyArray<string> | undefined> => {
  if (isRoot()) return []
  if (Bun.which("sudo") === null) return undefined
  const words = ["sudo", "env", "DEBIAN_FRONTEND=noninteractive", "LC_ALL=C"]
  if ((await run(["sudo", "-n", "true"])).exitCode === 0) return words
  if (!process.stdin.isTTY) return undefined
  progress.line(`system packages are missing; sudo may ask for your password\n${instructions("apt", wanted)}`)
  const asked = Bun.spawn(["sudo", "-v"], { stdio: ["inherit", "inherit", "inherit"] })
  return (await asked.exited) === 0 ? words : undefined
}

/** Runs apt-get, waiting while another apt holds one of its locks. */
const apt = async (command: ReadonlyArray<string>, report: Report): Promise<void> => {
  const options = [`-oDPkg::Lock::Timeout=${lockWaitSeconds}`, "-oAPT::Status-Fd=1", "-oDpkg::Use-Pty=0"]
  const deadline = performance.now() + lockWaitSeconds * 1000
  for (;;) {
    const finished = await run([...command, ...options], {
      env: { DEBIAN_FRONTEND: "noninteractive", LC_ALL: "C" },
      onLine: (line) => report(aptStatus(line))
    })
    if (finished.exitCode === 0) return
    // The time-out option covers dpkg's lock, not those on lists and archives.
    const locked = /^E: (Could not get lock|Unable to lock|Unable to acquire)/m.test(finished.output)
    if (!locked || performance.now() > deadline) {
      const complaints = finished.output.split("\n").filter((line) => /^[EW]: /.test(line))
      throw new DevError(
        `${command.join(" ")} failed (${finished.exitCode}): ${complaints.join("; ") || finished.output.trim().slice(-2000)}`,
        "mend what apt complains about, then run this again"
      )
    }
    report("waiting for another apt to finish")
    await Bun.sleep(2000)
  }
}

/** A line of apt's output for people: its machine-readable status lines say how far it is. */
export const aptStatus = (line: string): string => {
  const status = /^(?:dlstatus|pmstatus):[^:]*(?::[^:\d][^:]*)?:([\d.]+):(.*)$/.exec(line)
  return status === null ? line : `${Math.round(Number(status[1]))} % ${status[2]}`
}
