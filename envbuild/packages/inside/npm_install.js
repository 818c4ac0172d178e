// Installs npm packages from their archives, without network: node npm_install.js ORDER
//
// What npm itself would do with a lock: each package is unpacked to its path below node_modules, its programs are
// linked in .bin, and all files get the modes that npm gives. Install scripts are left to `npm rebuild`.
'use strict'

const fs = require('fs')
const path = require('path')
const zlib = require('zlib')

process.umask(0o022)
const order = JSON.parse(fs.readFileSync(process.argv[2], 'utf8'))
const modules = path.join(order.into, 'node_modules')

function main () {
  fs.mkdirSync(modules, { recursive: true })
  for (const one of order.install) {
    const folder = path.join(modules, one.path)
    const there = read(path.join(folder, 'package.json'))
    if (there && there.version === one.version) continue
    // Packages of its own that lie in it stay: they are in the order too, or were before.
    if (there) clear(folder)
    unpack(one.file, folder)
  }
  for (const [at, target] of order.links || []) lead(path.join(modules, at), path.join(modules, target))
  for (const one of order.install) link(one.path)
  for (const [at] of order.links || []) link(at)
  manifest()
}

function read (file) {
  try {
    return JSON.parse(fs.readFileSync(file, 'utf8').replace(/^\uFEFF/, ''))
  } catch (error) {
    if (error.code === 'ENOENT') return null
    throw error
  }
}

function clear (folder) {
  for (const name of fs.readdirSync(folder)) {
    if (name !== 'node_modules') fs.rmSync(path.join(folder, name), { recursive: true, force: true })
  }
}

// An archive's members lie in one folder, whatever its name; npm leaves out links and what is no file.
function unpack (file, folder) {
  const data = zlib.gunzipSync(fs.readFileSync(file))
  let at = 0
  let extended = {}
  while (at + 512 <= data.length) {
    const header = data.subarray(at, at + 512)
    if (header.every(byte => byte === 0)) break
    const size = number(header.subarray(124, 136))
    const kind = String.fromCharCode(header[156])
    const body = data.subarray(at + 512, at + 512 + size)
    at += 512 + Math.ceil(size / 512) * 512
    if (kind === 'x') { extended = pax(body); continue }
    if (kind === 'L') { extended = { path: text(body) }; continue }
    if (kind === 'g') continue
    const prefix = text(header.subarray(257, 262)) === 'ustar' ? text(header.subarray(345, 500)) : ''
    const name = extended.path || (prefix ? prefix + '/' : '') + text(header.subarray(0, 100))
    extended = {}
    const inside = path.posix.normalize(name.split('/').slice(1).join('/'))
    if (inside === '.' || inside.startsWith('..') || inside.startsWith('/')) continue
    const target = path.join(folder, inside)
    if (kind === '0' || kind === '\0' || kind === '7') {
      const mode = (number(header.subarray(100, 108)) | 0o644) & 0o755
      fs.mkdirSync(path.dirname(target), { recursive: true })
      fs.rmSync(target, { force: true })
      fs.writeFileSync(target, body, { mode })
      fs.chmodSync(target, mode)
    }
  }
}

function text (bytes) {
  const end = bytes.indexOf(0)
  return bytes.subarray(0, end < 0 ? bytes.length : end).toString('utf8')
}

function number (bytes) {
  if (bytes[0] & 0x80) return Number(BigInt('0x' + Buffer.from(bytes.subarray(1)).toString('hex')))
  return parseInt(text(bytes).trim(), 8) || 0
}

function pax (body) {
  const found = {}
  let at = 0
  while (at < body.length) {
    const space = body.indexOf(0x20, at)
    const length = parseInt(body.subarray(at, space).toString(), 10)
    if (!length) break
    const record = body.subarray(space + 1, at + length - 1).toString('utf8')
    const equals = record.indexOf('=')
    found[record.slice(0, equals)] = record.slice(equals + 1)
    at += length
  }
  return found
}

// A link of another manager's layout; what is there already, of an earlier statement, is replaced.
function lead (at, target) {
  fs.mkdirSync(path.dirname(at), { recursive: true })
  fs.rmSync(at, { recursive: true, force: true })
  fs.symlinkSync(path.relative(path.dirname(at), target), at)
}

// package.json's bin (npm's documentation, "package.json"): a path, or paths by name; or all of directories.bin.
function link (where) {
  const folder = path.join(modules, where)
  const own = read(path.join(folder, 'package.json'))
  if (!own) return
  let programs = own.bin
  if (typeof programs === 'string') programs = { [own.name.split('/').pop()]: programs }
  if (!programs && own.directories && own.directories.bin) {
    programs = {}
    for (const name of fs.readdirSync(path.join(folder, own.directories.bin)).sort()) {
      programs[name] = path.join(own.directories.bin, name)
    }
  }
  const scope = path.basename(path.dirname(folder)).startsWith('@') ? path.dirname(folder) : folder
  const bin = path.join(path.dirname(scope), '.bin')
  for (const name of Object.keys(programs || {}).sort()) {
    const program = path.join(folder, path.posix.normalize('/' + programs[name]))
    if (!fs.existsSync(program)) continue
    const text = fs.readFileSync(program)
    // A carriage return in the first line would be part of the interpreter's name.
    const end = text.indexOf(0x0a)
    if (end > 0 && text[0] === 0x23 && text[1] === 0x21 && text[end - 1] === 0x0d) {
      fs.writeFileSync(program, Buffer.concat([text.subarray(0, end - 1), text.subarray(end)]))
    }
    fs.chmodSync(program, 0o755)
    fs.mkdirSync(bin, { recursive: true })
    const plain = path.basename(name)
    if (plain === '' || plain === '.' || plain === '..') continue
    const target = path.join(bin, plain)
    fs.rmSync(target, { force: true })
    fs.symlinkSync(path.relative(bin, program), target)
  }
}

// The project's files: those of the recipe, or a package.json that names what was asked for.
function manifest () {
  for (const [name, content] of Object.entries(order.files)) fs.writeFileSync(path.join(order.into, name), content)
  if (order.files['package.json']) return
  const file = path.join(order.into, 'package.json')
  const own = read(file) || { private: true }
  const wanted = Object.assign({}, own.dependencies)
  for (const [name, range] of order.wanted) {
    const there = read(path.join(modules, name, 'package.json'))
    wanted[name] = range || '^' + there.version
  }
  own.dependencies = Object.fromEntries(Object.entries(wanted).sort((a, b) => (a[0] < b[0] ? -1 : 1)))
  fs.writeFileSync(file, JSON.stringify(own, null, 2) + '\n')
}

main()
