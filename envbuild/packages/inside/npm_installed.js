// Adds to a lock (npm 6's form) the versions of the packages that a directory has already, so that npm keeps them.
// Run as: node npm_installed.js DIRECTORY LOCK RENEWED; RENEWED is a file with the names of packages that may move.
"use strict";
const fs = require("fs");
const path = require("path");
const [, , directory, file, renewedFile] = process.argv;
const renewed = new Set(JSON.parse(fs.readFileSync(renewedFile, "utf8")));
const lock = JSON.parse(fs.readFileSync(file, "utf8"));

function names(modules) {
  let entries = [];
  try {
    entries = fs.readdirSync(modules, { withFileTypes: true }).filter((entry) => entry.isDirectory());
  } catch {
    return [];
  }
  return entries.flatMap((entry) => {
    if (entry.name.startsWith(".")) return [];
    if (!entry.name.startsWith("@")) return [entry.name];
    return names(path.join(modules, entry.name)).map((name) => `${entry.name}/${name}`);
  });
}

function manifest(folder) {
  try {
    return JSON.parse(fs.readFileSync(path.join(folder, "package.json"), "utf8")) || {};
  } catch {
    return {};
  }
}

// What is locked already was decided by a lock: only what is missing is added.
function add(folder, level) {
  const modules = path.join(folder, "node_modules");
  for (const name of names(modules)) {
    const inner = path.join(modules, name);
    const { version, bundleDependencies, bundledDependencies } = manifest(inner);
    if (typeof version !== "string" || renewed.has(name)) continue;
    level.dependencies = level.dependencies || {};
    if (level.dependencies[name] === undefined) level.dependencies[name] = { version };
    // What a package brings along in its own archive is no package of the lock.
    const bundles = bundleDependencies || bundledDependencies;
    if (level.dependencies[name].version === version && !bundles) add(inner, level.dependencies[name]);
  }
}

add(directory, lock);
if (lock.dependencies === undefined) lock.dependencies = {};
fs.writeFileSync(file, JSON.stringify(lock));
