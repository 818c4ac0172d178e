// Runs the install scripts of packages that have folders of their own: node npm_scripts.js ORDER NPM...
//
// `npm rebuild` takes such packages for projects of the user's and would build them from their sources. So npm runs
// each script by its name here, what a package needs before the package itself.
'use strict'

const { spawnSync } = require('child_process')
const fs = require('fs')
const path = require('path')

const order = JSON.parse(fs.readFileSync(process.argv[2], 'utf8'))
const [program, ...given] = process.argv.slice(3)

for (const where of order.scripts) {
  const folder = path.join(order.into, 'node_modules', where)
  const own = JSON.parse(fs.readFileSync(path.join(folder, 'package.json'), 'utf8').replace(/^\uFEFF/, ''))
  const scripts = own.scripts || {}
  const wanted = ['preinstall', 'install', 'postinstall'].filter(name => scripts[name])
  for (const name of wanted) run(folder, 'run', name)
  // What npm does with a package that only has sources (npm's documentation, "scripts").
  const built = scripts.install || scripts.preinstall || own.gypfile === false
  if (!built && fs.existsSync(path.join(folder, 'binding.gyp'))) run(folder, 'exec', '--offline', '-c', 'node-gyp rebuild')
}

function run (folder, ...words) {
  const argv = [...given, '--prefix', folder, '--foreground-scripts', '--loglevel=error', ...words]
  const ended = spawnSync(program, argv, { cwd: folder, stdio: 'inherit' })
  if (ended.error) throw ended.error
  if (ended.status !== 0) process.exit(ended.status || 1)
}
