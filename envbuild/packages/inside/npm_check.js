// Says which packages below node_modules don't go together: node npm_check.js ORDER HOW
//
// For packages that npm has not chosen together, as after a merge of two locks, and for trees without npm, which would
// say it itself (`npm ls`). HOW is "all", or "others" for packages that npm chose together: it is only looked whether
// they find what they depend on in what was there before. Peers are not, as npm takes others than they ask for, with a
// warning. What is not a range of versions (a tag, an address) fits whatever is there, and so does what the project
// overrides.
'use strict'

const fs = require('fs')
const path = require('path')

const MAX_MANIFEST = 4 << 20
const MAX_PACKAGES = 100000
const MAX_RANGE = 256
const MAX_LINES = 20
const NAME = /^(?:@[\w~.-]{1,200}\/)?[\w~!*'().-]{1,200}$/
const NUMBER = '(\\d{1,15})'
const PART = '(\\d{1,15}|[xX*])'
const LABELS = '(?:-([0-9A-Za-z.-]{1,200}))?(?:\\+[0-9A-Za-z.-]{1,200})?'
const VERSION = new RegExp(`^[v=]*${NUMBER}\\.${NUMBER}\\.${NUMBER}${LABELS}$`)
const PARTIAL = new RegExp(`^v?${PART}(?:\\.${PART}(?:\\.${PART}${LABELS})?)?$`)
const NOTHING = [['<', [0, 0, 0, '0']]]

// A version is [major, minor, patch, labels], and undefined if a text is none.
function versionOf (text) {
  const match = typeof text === 'string' && text.length <= MAX_RANGE ? VERSION.exec(text.trim()) : null
  return match ? [Number(match[1]), Number(match[2]), Number(match[3]), match[4]] : undefined
}

// By semver.org, 11: what has labels comes before what has none.
function compare (a, b) {
  for (let i = 0; i < 3; i++) if (a[i] !== b[i]) return a[i] - b[i]
  if (a[3] === undefined || b[3] === undefined) return (a[3] === undefined) - (b[3] === undefined)
  const [ours, theirs] = [a[3].split('.'), b[3].split('.')]
  for (let i = 0; i < Math.min(ours.length, theirs.length); i++) {
    if (ours[i] === theirs[i]) continue
    const [one, other] = [/^\d+$/.test(ours[i]), /^\d+$/.test(theirs[i])]
    if (one !== other) return one ? -1 : 1
    if (one) return Number(ours[i]) - Number(theirs[i])
    return ours[i] < theirs[i] ? -1 : 1
  }
  return ours.length - theirs.length
}

// The numbers of `1`, `1.2`, `1.2.x` or `1.2.3-a`; those from the first x on are undefined, as is all of `1.x.3`.
function partial (text) {
  const match = PARTIAL.exec(text)
  if (!match) return undefined
  const numbers = [match[1], match[2], match[3]]
  const end = numbers.findIndex(part => part === undefined || !/^\d+$/.test(part))
  if (end >= 0 && numbers.slice(end).some(part => /^\d/.test(part))) return undefined
  const known = numbers.map((part, i) => (end < 0 || i < end ? Number(part) : undefined))
  return [...known, end < 0 ? match[4] : undefined]
}

const zeros = ([major, minor, patch, labels]) => [major || 0, minor || 0, patch || 0, labels]
// The first version after all that begin with the same numbers, with all that comes before its release.
function after ([major, minor, patch]) {
  if (minor === undefined) return [major + 1, 0, 0, '0']
  return patch === undefined ? [major, minor + 1, 0, '0'] : [major, minor, patch + 1, '0']
}

// A comparator as bounds, [sign, version]; undefined if it is none. By npm's documentation of semver, "Ranges".
function bounds (sign, text) {
  const wanted = partial(text)
  if (!wanted) return undefined
  const [major, minor, patch] = wanted
  if (major === undefined) return sign === '<' || sign === '>' ? NOTHING : []
  const least = zeros(wanted)
  switch (sign) {
    case '^':
      if (major > 0 || minor === undefined) return [['>=', least], ['<', after([major])]]
      return [['>=', least], ['<', minor > 0 || patch === undefined ? after([0, minor]) : after(wanted)]]
    case '~':
    case '~>':
      return [['>=', least], ['<', after(minor === undefined ? [major] : [major, minor])]]
    case '>=':
      return [['>=', least]]
    case '>':
      return patch === undefined ? [['>=', after(wanted).slice(0, 3)]] : [['>', least]]
    case '<':
      return [['<', patch === undefined ? [...least.slice(0, 3), '0'] : least]]
    case '<=':
      return patch === undefined ? [['<', after(wanted)]] : [['<=', least]]
    default:
      return patch === undefined ? [['>=', least], ['<', after(wanted)]] : [['=', least]]
  }
}

// All bounds of what stands between two `||`.
function boundsOf (alternative) {
  const hyphen = /^(\S+)\s+-\s+(\S+)$/.exec(alternative)
  const words = hyphen
    ? [`>=${hyphen[1]}`, `<=${hyphen[2]}`]
    : alternative.replace(/(~>|[<>]=?|[~^=])\s+/g, '$1').split(/\s+/).filter(Boolean)
  const found = []
  for (const word of words) {
    const match = /^(~>|>=|<=|[<>^~]|=)?(.*)$/.exec(word)
    const some = bounds(match[1], match[2])
    if (!some) return undefined
    found.push(...some)
  }
  return found
}

function holds ([sign, bound], version) {
  const order = compare(version, bound)
  return { '=': order === 0, '<': order < 0, '<=': order <= 0, '>': order > 0, '>=': order >= 0 }[sign]
}

// Whether a version is in a range; undefined if one of them is none.
function satisfies (text, range) {
  const version = versionOf(text)
  if (!version || typeof range !== 'string' || range.length > MAX_RANGE) return undefined
  if (range.trim() === '' || range.trim() === '*') return true
  const alternatives = range.split('||').map(part => boundsOf(part.trim()))
  if (alternatives.includes(undefined)) return undefined
  return alternatives.some(all => {
    if (!all.every(bound => holds(bound, version))) return false
    // What comes before a release fits only where a bound names such a version of the same release.
    const near = ([, bound]) => bound[3] !== undefined && [0, 1, 2].every(i => bound[i] === version[i])
    return version[3] === undefined || all.some(near)
  })
}

// A plain object of what may be anything.
function table (value) {
  return value && typeof value === 'object' && !Array.isArray(value) ? value : {}
}

const manifests = new Map()
function manifest (folder) {
  if (!manifests.has(folder)) {
    let found = null
    try {
      const file = path.join(folder, 'package.json')
      const status = fs.statSync(file)
      if (status.isFile() && status.size <= MAX_MANIFEST) {
        found = table(JSON.parse(fs.readFileSync(file, 'utf8').replace(/^\uFEFF/, '')))
      }
    } catch {}
    manifests.set(folder, found)
  }
  return manifests.get(folder)
}

function names (modules) {
  let entries = []
  try {
    entries = fs.readdirSync(modules, { withFileTypes: true }).filter(entry => entry.isDirectory())
  } catch {}
  return entries.flatMap(({ name }) => {
    if (name.startsWith('.')) return []
    return name.startsWith('@') ? names(path.join(modules, name)).map(inner => `${name}/${inner}`) : [name]
  }).sort()
}

// The paths of all packages below a root's node_modules; not those that a package brings along in its own archive.
function packages (root) {
  const found = []
  const folders = ['']
  while (folders.length && found.length < MAX_PACKAGES) {
    const above = folders.pop()
    for (const name of names(path.join(root, 'node_modules', above))) {
      const place = path.posix.join(above, name)
      const own = manifest(path.join(root, 'node_modules', place))
      if (!own) continue
      found.push(place)
      if (!bundled(own)) folders.push(path.posix.join(place, 'node_modules'))
    }
  }
  return found.slice(0, MAX_PACKAGES)
}

function bundled (own) {
  return own.bundleDependencies || own.bundledDependencies
}

// Whether a package brings a lock of its own, which npm obeys, whatever the ranges say.
function hasShrinkwrap (folder) {
  return fs.existsSync(path.join(folder, 'npm-shrinkwrap.json'))
}

// Where Node finds a package that one at `place` needs: in its own folder, or in one above; "" is the project's.
function resolve (root, place, name) {
  for (let above = place; ; above = above.replace(/(^|\/node_modules\/)(?:@[^/]+\/)?[^/]+$/, '')) {
    const target = above ? `${above}/node_modules/${name}` : name
    if (manifest(path.join(root, 'node_modules', target))) return target
    if (!above) return undefined
  }
}

// The names that a project's `overrides` decide about, at any depth.
function overridden (overrides) {
  const entries = Object.entries(table(overrides))
  return entries.flatMap(([key, value]) => [key.replace(/(.)@.*$/, '$1'), ...overridden(value)])
}

// What a package says that it needs: [name, range, whether it may be missing].
function needs (own, isProject, withPeers) {
  const kinds = [['dependencies', isProject], ['optionalDependencies', true]]
  if (isProject) kinds.push(['devDependencies', true])
  else if (withPeers) kinds.push(['peerDependencies', true])
  const found = new Map()
  for (const [kind, mayMiss] of kinds) {
    for (const [name, range] of Object.entries(table(own[kind]))) {
      if (NAME.test(name) && typeof range === 'string') found.set(name, [name, range, mayMiss])
    }
  }
  return found.values()
}

function main (order, how) {
  const root = order.into
  const project = manifest(root) || {}
  const ignored = new Set(overridden(project.overrides))
  const installed = new Set(order.install.map(one => one.path))
  const withPeers = how === 'all' && !/^(true|1)$/.test(process.env.npm_config_legacy_peer_deps || '')
  const isChecked = (place, target) => how === 'all'
    ? installed.has(place) || installed.has(target)
    : installed.has(place) && target !== undefined && !installed.has(target)
  const lines = []
  for (const place of ['', ...packages(root)]) {
    const own = place ? manifest(path.join(root, 'node_modules', place)) : project
    if (place && (bundled(own) || hasShrinkwrap(path.join(root, 'node_modules', place)))) continue
    const by = place ? `${place} ${versionOf(own.version) ? own.version.trim() : '?'}` : 'package.json'
    for (const [name, range, mayMiss] of needs(own, !place, withPeers)) {
      const target = resolve(root, place, name)
      if (ignored.has(name) || !isChecked(place, target)) continue
      const wanted = range.replace(/^npm:(?:@[^/]*\/)?[^@]*@/, '')
      if (target === undefined) {
        const isRange = satisfies('0.0.0', wanted) !== undefined
        if (isRange && !mayMiss) lines.push(`${by} requires ${name}@${wanted}, which is not installed`)
        continue
      }
      const { version } = manifest(path.join(root, 'node_modules', target))
      if (satisfies(version, wanted) !== false) continue
      lines.push(`${by} requires ${name}@${wanted}, but ${target} ${version.trim()} is installed`)
    }
  }
  if (lines.length === 0) return
  for (const line of lines.slice(0, MAX_LINES)) console.log(line)
  console.error("the packages of the lock don't go together")
  process.exitCode = 1
}

if (require.main === module) main(JSON.parse(fs.readFileSync(process.argv[2], 'utf8')), process.argv[3])
module.exports = { satisfies }
