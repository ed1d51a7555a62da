import type { Vm } from "capsa/promise"

/** Asks a program that listens at port 7000 of the guest, one question and its answer on each connection. */
export const ask = async (vm: Vm, question: string): Promise<string> => {
  await using connection = await vm.vsock.connect(7000, { timeout: "10 seconds" })
  await connection.write(question)
  await connection.end()
  let answer = ""
  const decoder = new TextDecoder()
  for await (const bytes of connection.readable) answer += decoder.decode(bytes, { stream: true })
  return answer
}

/** Serves port 5000 of the host to programs of the guest, one after the other. */
export const greetAll = async (vm: Vm): Promise<void> => {
  for await (const connection of vm.vsock.listen(5000)) {
    await connection.write(`welcome to ${vm.name}\n`)
    await connection.close()
  }
}
