import { GuestImages, Systemd } from "@capsa/guest"
import * as BunContext from "@effect/platform-bun/BunContext"
import * as capsa from "capsa/promise"
import * as Effect from "effect/Effect"

const built = Effect.all({ guest: GuestImages.debian, distribution: GuestImages.systemd })
const { guest, distribution } = await Effect.runPromise(Effect.provide(built, BunContext.layer))

await using vm = await capsa.launch({
  memory: "512MiB",
  boot: { kernel: guest.kernel, initrd: guest.initrd, cmdline: "capsa.init=/bin/disk-root loglevel=1" },
  disks: [{ path: distribution.disk, ephemeral: true }]
})
await vm.console.login({ ...Systemd.account, timeout: "5 minutes" })
const { output } = await vm.console.run("systemctl is-system-running --wait", { timeout: "2 minutes", prompt: "# " })
const exit = await vm.stop({ grace: "2 minutes" })

await Bun.write(Bun.stdout, `${output.trim()}: ${exit._tag}\n`)
