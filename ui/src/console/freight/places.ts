/** Places as rules name them, and as they are called in the reader's language. */
import { currentLocale } from '@/shared/i18n'
import places from '@/shared/places.json'
import type { Place } from '../api'

export const HOME = 'CN'
export const COUNTRIES: string[] = places.countries
export const ZONES = [...new Set(places.provinces.map((one) => one.zone))]
export const provincesOf = (zone: string) => places.provinces.filter((one) => one.zone === zone).map((one) => one.zh)

/** Rules keep the Chinese name, which addresses in China are written with. */
export function provinceName(zh: string): string {
  return currentLocale() === 'zh-CN' ? zh : (places.provinces.find((one) => one.zh === zh)?.en ?? zh)
}

export function countryName(code: string): string {
  return new Intl.DisplayNames([currentLocale()], { type: 'region' }).of(code) ?? code
}

export function placeName(place: Place): string {
  if (place.country !== HOME) return [countryName(place.country), place.region, place.city].filter(Boolean).join(' ')
  return [place.region ? provinceName(place.region) : place.city ? '' : countryName(HOME), place.city].filter(Boolean).join(' ')
}

export const placeKey = (place: Place) => [place.country, place.region ?? '', place.city ?? ''].join('/')
