/** What a machine has where its configuration does not say. */
export const defaults = {
  cpus: 1,
  memory: "512MiB",
  console: "serial",
  discovery: "firmware",
  historyBytes: 1024 * 1024,
  network: "none",
  isolation: "inline",
  shareMode: "ro",
  shareTag: "share",
  shareCache: "auto",
  diskSerial: "capsa-disk",
  forwardProtocol: "tcp",
  forwardAddress: "127.0.0.1",
  policyProfile: "public",
  policy: "allow",
  policyRecheck: false,
  switchSubnet: "10.0.3.0/24"
} as const
