const UNITS = ['bytes', 'kB', 'MB', 'GB', 'TB', 'PB']

/** `1.5 MB` */
export function sizeText(bytes: number): string {
  let value = bytes
  let unit = 0
  while (value >= 999.5 && unit < UNITS.length - 1) {
    value /= 1000
    unit++
  }
  const digits = unit === 0 || value >= 99.5 ? 0 : 1
  return unit === 0 && bytes === 1 ? '1 byte' : `${value.toFixed(digits)} ${UNITS[unit] ?? ''}`
}
