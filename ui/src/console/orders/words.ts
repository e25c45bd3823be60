import type { Address, Options } from '@/shared/api/types'

/** 颜色: 红 / 尺码: M → 红 · M. */
export function describeOptions(options: Options): string {
  return Object.values(options).filter(Boolean).join(' · ')
}

export function pieces(lines: { quantity: number }[]): number {
  return lines.reduce((sum, line) => sum + line.quantity, 0)
}

/** The lines of an address as its country writes them: from the large to the small in Chinese, else the other way. */
export function addressLines(address: Address): string[] {
  const large = [address.region, address.city, address.district].filter(Boolean)
  return address.country === 'CN'
    ? [large.join(''), address.street, address.postcode].filter(Boolean)
    : [address.street, [...large].reverse().join(', '), [address.postcode, address.country].filter(Boolean).join(' ')].filter(Boolean)
}
