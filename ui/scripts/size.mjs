/**
 * The weight of the phone page: every script that its entry loads before anything is tapped, and the room's own,
 * gzipped, against the limit. The video player is a chunk of its own and not counted.
 */
import { readFileSync } from 'node:fs'
import { gzipSync } from 'node:zlib'

const LIMIT_KB = 250
const page = new URL('../../src/laotie/web/page/', import.meta.url)
const manifest = JSON.parse(readFileSync(new URL('.vite/manifest.json', page), 'utf8'))

function collect(key, seen = new Set()) {
  if (seen.has(key)) return seen
  seen.add(key)
  for (const imported of manifest[key].imports ?? []) collect(imported, seen)
  return seen
}

function weigh(keys) {
  return [...keys]
    .map((key) => manifest[key].file)
    .filter((file) => file.endsWith('.js'))
    .reduce((sum, file) => sum + gzipSync(readFileSync(new URL(file, page)), { level: 9 }).length, 0)
}

const entry = collect('index.html')
const room = Object.keys(manifest).find((key) => key.endsWith('phone/room/RoomPage.vue'))
const locale = Object.keys(manifest).filter((key) => /(phone\/locales|i18n\/common\.)[^/]*zh-CN\.json$/.test(key) || /phone\/locales\/zh-CN\.json$/.test(key))
const withRoom = new Set(entry)
for (const key of [room, ...locale].filter(Boolean)) collect(key, withRoom)

const kb = (bytes) => Math.round(bytes / 102.4) / 10
console.log(`phone entry ${kb(weigh(entry))} kB, with the room ${kb(weigh(withRoom))} kB gzipped (limit ${LIMIT_KB} kB)`)
if (weigh(withRoom) > LIMIT_KB * 1024) {
  console.error('The phone page is too heavy.')
  process.exit(1)
}
