/** Signals as Linux numbers them on x86_64 and arm64, whatever the host does. */
const names = [
  ...["SIGHUP", "SIGINT", "SIGQUIT", "SIGILL", "SIGTRAP", "SIGABRT", "SIGBUS", "SIGFPE", "SIGKILL", "SIGUSR1"],
  ...["SIGSEGV", "SIGUSR2", "SIGPIPE", "SIGALRM", "SIGTERM", "SIGSTKFLT", "SIGCHLD", "SIGCONT", "SIGSTOP", "SIGTSTP"],
  ...["SIGTTIN", "SIGTTOU", "SIGURG", "SIGXCPU", "SIGXFSZ", "SIGVTALRM", "SIGPROF", "SIGWINCH", "SIGIO", "SIGPWR"],
  "SIGSYS"
] as const

export type SignalName = (typeof names)[number]

export const numberOf = (name: SignalName): number => names.indexOf(name) + 1

/** What has no name is a real-time signal. */
export const nameOf = (number: number): string => names[number - 1] ?? `SIG${number}`
