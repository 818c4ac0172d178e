import yaml from 'js-yaml'
import { v4 } from 'uuid'

const find = (id) => document.getElementById(id)

function convert () {
  try {
    find('json').value = JSON.stringify(yaml.load(find('yaml').value))
  } catch (error) {
    find('json').value = error.message
  }
}

find('uuid').value = v4()
find('yaml').addEventListener('input', convert)
convert()
