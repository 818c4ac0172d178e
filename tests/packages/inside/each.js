// Runs a script as often as there are words, each time with one of them: node each.js SCRIPT WORD...
// Prints the words with which it failed.
'use strict'

const [script, ...words] = process.argv.slice(2)
for (const word of words) {
  process.argv = [process.argv[0], script, word]
  process.umask(0)
  delete require.cache[script]
  try {
    require(script)
  } catch (error) {
    console.log(word)
    console.error(error)
  }
}
