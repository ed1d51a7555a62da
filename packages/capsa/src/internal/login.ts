/** Logs in at the prompt of a getty. */
import * as Effect from "effect/Effect"
import * as Redacted from "effect/Redacted"
import type { Console, LoginOptions } from "../Console.ts"
import type { Aim, Dialogue } from "./dialogue.ts"
import { bracketedLine, terminalCommand } from "./noise.ts"

/** A prompt is the last that was said, but for messages of the kernel and of services that come after it. */
const standing = (prompt: string): RegExp => new RegExp(`${prompt}(?:${terminalCommand}|${bracketedLine})*$`)

const loginPrompt = standing("(?<!Last )[Ll]ogin: *")
const passwordPrompt = standing("[Pp]ass(?:word|phrase|code)[^\\n:]*: *")
const shellPrompt = standing("[#$%>] ")
/** What `login` says, of busybox, util-linux and shadow alike. */
const refusals = ["Login incorrect", "Login timed out"]

/** How far before what is consumed a prompt may stand that was waited for before `login` was called. */
const lookBack = 256
/** Some programs print the prompt first, and then drop what was typed and switch the echo off. */
const pauseBeforePassword = "100 millis"

/** Whether it can be typed as one line. */
const isLine = (text: string): boolean => !/[\p{Cc}\ud800-\udfff]/u.test(text)

export const make = (dialogue: Dialogue): Console["login"] => {
  const unusable = (what: string, aim: Aim) =>
    dialogue.failure("InvalidInput", aim, {
      detail: `The ${what} cannot be typed: it contains a control character or half a surrogate pair.`,
      hint: `Give the ${what} as the guest knows it.`
    })

  const refused = (user: string, aim: Aim) =>
    dialogue.failure("LoginIncorrect", aim, {
      detail: `The guest refused to log ${JSON.stringify(user)} in.`,
      hint: "Check user and password, and on which terminals the guest lets this user log in (`/etc/securetty`)."
    })

  const converse = Effect.fnUntraced(function* (
    user: string,
    password: string,
    prompt: LoginOptions["prompt"],
    aim: Aim
  ) {
    const shell = prompt ?? shellPrompt
    const asked = yield* dialogue.await([loginPrompt], { ...aim, from: Math.max(0, aim.from - lookBack) })
    aim.what = "the prompt of a shell"
    aim.from = asked.end
    yield* dialogue.write(`${user}\r`)
    let answer = yield* dialogue.await([shell, ...refusals, passwordPrompt], aim)
    if (answer.index === refusals.length + 1) {
      yield* Effect.sleep(pauseBeforePassword)
      yield* dialogue.write(`${password}\r`)
      answer = yield* dialogue.await([shell, ...refusals], { ...aim, from: answer.end })
    }
    dialogue.consume(answer.end)
    if (answer.index > 0) return yield* refused(user, aim)
  })

  return Effect.fn("Console.login")(function* ({ user, password = "", prompt, timeout }: LoginOptions) {
    const aim: Aim = { what: "a login prompt", from: dialogue.consumed() }
    const secret = typeof password === "string" ? password : Redacted.value(password)
    if (!isLine(user)) return yield* unusable("user", aim)
    if (!isLine(secret)) return yield* unusable("password", aim)
    const conversation = dialogue.alone(converse(user, secret, prompt, aim))
    return yield* Effect.mapError(dialogue.within(conversation, timeout, aim), (error) =>
      error._tag === "ConsoleError" ? dialogue.without(secret, error) : error
    )
  })
}
