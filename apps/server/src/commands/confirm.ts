import { createInterface } from 'node:readline/promises'

/**
 * Asks the person at the terminal, who must type "yes".
 *
 * @param without how to do without being asked: told where there is nobody to ask
 */
export async function confirmed(question: string, without: string): Promise<boolean> {
  if (!process.stdin.isTTY) {
    process.stdout.write(`${without}\n`)
    return false
  }
  const prompt = createInterface({ input: process.stdin, output: process.stdout })
  try {
    return (await prompt.question(`${question} Type "yes": `)).trim() === 'yes'
  } finally {
    prompt.close()
  }
}
