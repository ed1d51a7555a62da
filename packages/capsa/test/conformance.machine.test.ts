/** The conformance kit on real machines: CAPSA_TEST_BACKEND chooses the backend (kvm or qemu, the default). */
import { conformance } from "@capsa/testing"
import { options } from "./fixtures/conformanceHost.ts"
import { backend, backendName } from "./fixtures/realBackend.ts"

conformance(backendName, backend, options)
