// Prepares a question to npm of which a part was asked before: node npm_kept.js DIRECTORY LOCK QUESTION
//
// QUESTION is a file: `words` are [name, range] of what was asked before. It becomes part of the package.json here,
// where npm leaves what fits as it is; packages in its arguments it would renew. With `all`, the lock is to have all
// that there is in DIRECTORY: if it has not, this ends with 67, as npm has to ask the registry.
'use strict'

const fs = require('fs')
const path = require('path')
const [directory, lock, question] = process.argv.slice(2)
const HAS_OTHERS = 67
const KINDS = ['devDependencies', 'optionalDependencies', 'peerDependencies']

function names (modules) {
  let entries = []
  try {
    entries = fs.readdirSync(modules, { withFileTypes: true }).filter(entry => entry.isDirectory())
  } catch {}
  return entries.flatMap(({ name }) => {
    if (name.startsWith('.')) return []
    return name.startsWith('@') ? names(path.join(modules, name)).map(inner => `${name}/${inner}`) : [name]
  })
}

function read (file) {
  return JSON.parse(fs.readFileSync(file, 'utf8').replace(/^\uFEFF/, ''))
}

const { words, all } = read(question)
if (all) {
  const { packages } = read(lock)
  const there = names(path.join(directory, 'node_modules'))
  if (there.some(name => !packages[`node_modules/${name}`])) process.exit(HAS_OTHERS)
}
if (words.length) {
  const own = read('package.json')
  for (const [name, range] of words) {
    const kind = KINDS.find(kind => own[kind] && own[kind][name] !== undefined) || 'dependencies'
    own[kind] = { ...own[kind], [name]: range || '*' }
  }
  fs.writeFileSync('package.json', JSON.stringify(own))
}
