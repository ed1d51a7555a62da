/** Tiny guests that run without an operating system, on any /dev/kvm: ELF files of a few instructions. */

const loadAddress = 0x200000

/** An ELF executable whose code is entered in 64-bit mode. */
export const elf = (code: ReadonlyArray<number>): Uint8Array => {
  const headers = 64 + 56
  const bytes = new Uint8Array(headers + code.length)
  const view = new DataView(bytes.buffer)
  bytes.set([0x7f, 0x45, 0x4c, 0x46, 2, 1, 1])
  view.setUint16(16, 2, true) // ET_EXEC
  view.setUint16(18, 62, true) // EM_X86_64
  view.setUint32(20, 1, true)
  view.setBigUint64(24, BigInt(loadAddress), true) // e_entry
  view.setBigUint64(32, 64n, true) // e_phoff
  view.setUint16(52, 64, true) // e_ehsize
  view.setUint16(54, 56, true) // e_phentsize
  view.setUint16(56, 1, true) // e_phnum
  view.setUint32(64, 1, true) // PT_LOAD
  view.setUint32(68, 7, true)
  view.setBigUint64(72, BigInt(headers), true) // p_offset
  view.setBigUint64(80, BigInt(loadAddress), true)
  view.setBigUint64(88, BigInt(loadAddress), true)
  view.setBigUint64(96, BigInt(code.length), true)
  view.setBigUint64(104, BigInt(code.length), true)
  view.setBigUint64(112, 0x1000n, true)
  bytes.set(code, headers)
  return bytes
}

const word = (value: number) => [value & 0xff, (value >> 8) & 0xff]

/** mov dx, port; mov al, value; out dx, al */
const out = (port: number, value: number) => [0x66, 0xba, ...word(port), 0xb0, value, 0xee]

/** Writes text to the serial port. */
export const print = (text: string) => [...text].flatMap((letter) => out(0x3f8, letter.charCodeAt(0)))

/** ACPI sleep state S5. */
export const powerOff = out(0x600, 0x20 | (5 << 2))
/** The ACPI reset register. */
export const reset = out(0x602, 1)
/** The keyboard controller's reset pulse. */
export const resetByKeyboard = out(0x64, 0xfe)
/** The panic notifier. */
export const panic = out(0x505, 1)
/** An undefined instruction, with no table to find a handler in. */
export const tripleFault = [0x0f, 0x0b]
/** mov eax, address; jmp rax: no memory holds what comes next, which KVM cannot carry on with. */
export const nowhere = [0xb8, 0x00, 0x00, 0x10, 0xd0, 0xff, 0xe0]
/** jmp to itself */
export const spin = [0xeb, 0xfe]
/** cli; hlt; jmp back */
export const halt = [0xfa, 0xf4, 0xeb, 0xfd]
/** Writes one letter for ever. */
export const chatter = [0x66, 0xba, ...word(0x3f8), 0xb0, 0x78, 0xee, 0xeb, 0xfd]
/** Sends every received byte back: in al, LSR; test al, 1; jz; in al, RBR; out; jmp. */
export const echo = [
  ...[0x66, 0xba, ...word(0x3fd), 0xec, 0xa8, 0x01, 0x74, 0xf7],
  ...[0x66, 0xba, ...word(0x3f8), 0xec, 0xee, 0xeb, 0xef]
]
/** An access to an address that nothing answers, then power-off. */
export const unclaimed = [0xb8, 0, 0, 0, 0xc0, 0xff, 0x00, ...powerOff]
