import i18n from './index';
import { localeOf } from './languages';

const BYTE_UNITS = ['byte', 'kilobyte', 'megabyte', 'gigabyte', 'terabyte'] as const;
const formats = new Map<string, Intl.DateTimeFormat | Intl.NumberFormat>();

/** A date of DICOM (`20260131`) or ISO 8601 (`2026-01-31`); empty for none, as it is for what is not a date. */
export function formatDate(date: string | null | undefined): string {
  if (!date) return '';
  const [, year, month, day] = /^(\d{4})-?(\d{2})-?(\d{2})/.exec(date) ?? [];
  const parsed = Date.UTC(Number(year), Number(month) - 1, Number(day));
  // of the patient's calendar, wherever the reader is
  return Number.isNaN(parsed) ? date : dateFormat({ dateStyle: 'medium', timeZone: 'UTC' }).format(parsed);
}

/** A time of DICOM (`134501.5`) or ISO 8601 (`13:45:01.5`), to the minute. */
export function formatTime(time: string | null | undefined): string {
  if (!time) return '';
  const [, hours, minutes] = /^(\d{2}):?(\d{2})/.exec(time) ?? [];
  const parsed = Date.UTC(2000, 0, 1, Number(hours), Number(minutes));
  return Number.isNaN(parsed) ? time : dateFormat({ timeStyle: 'short', timeZone: 'UTC' }).format(parsed);
}

/** A moment (ISO 8601 with its offset), in the reader's time zone, to the minute or (`medium`) to the second. */
export function formatDateTime(moment: string | null | undefined, timeStyle: 'short' | 'medium' = 'short'): string {
  if (!moment) return '';
  const parsed = Date.parse(moment);
  return Number.isNaN(parsed) ? moment : dateFormat({ dateStyle: 'medium', timeStyle }).format(parsed);
}

export function formatNumber(value: number, options: Intl.NumberFormatOptions = {}): string {
  return numberFormat(options).format(value);
}

/** A size in the unit that suits it (1 kB = 1,000 bytes). */
export function formatBytes(bytes: number): string {
  const power = Math.min(Math.floor(Math.log10(Math.max(bytes, 1)) / 3), BYTE_UNITS.length - 1);
  const options = {
    style: 'unit',
    unit: BYTE_UNITS[power] ?? 'byte',
    unitDisplay: power === 0 ? 'long' : 'short',
    maximumFractionDigits: power < 2 ? 0 : 1,
  } as const;
  return numberFormat(options).format(bytes / 1000 ** power);
}

// making a formatter takes 50 µs, and a list has hundreds of values
function dateFormat(options: Intl.DateTimeFormatOptions): Intl.DateTimeFormat {
  return cached(options, (locale) => new Intl.DateTimeFormat(locale, options));
}

function numberFormat(options: Intl.NumberFormatOptions): Intl.NumberFormat {
  return cached(options, (locale) => new Intl.NumberFormat(locale, options));
}

function cached<Format extends Intl.DateTimeFormat | Intl.NumberFormat>(
  options: object,
  make: (locale: string) => Format,
): Format {
  const key = `${i18n.language} ${JSON.stringify(options)}`;
  const format = (formats.get(key) as Format | undefined) ?? make(localeOf(i18n.language));
  formats.set(key, format);
  return format;
}
