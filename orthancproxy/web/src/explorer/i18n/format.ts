import i18n from './index';
import { localeOf } from './languages';

const BYTE_UNITS = ['byte', 'kilobyte', 'megabyte', 'gigabyte', 'terabyte'] as const;
const TIME = /^([01]\d|2[0-3]):?(\d{2})(?::?(\d{2})(?:\.\d*)?)?\s*$/;
// others are durations, such as ExposureTime
const TIMES_OF_DAY =
  /^(Study|Series|Acquisition|Content|InstanceCreation|PatientBirth|(Performed|Scheduled)ProcedureStep(Start|End))Time$/;
const formats = new Map<string, Intl.DateTimeFormat | Intl.NumberFormat>();

/** A date of DICOM (`20260131`) or ISO 8601 (`2026-01-31`); empty for none. What is no day is shown as it is. */
export function formatDate(date: string | null | undefined): string {
  if (!date) return '';
  const [, year, month, day] = /^(\d{4})-?(\d{2})-?(\d{2})\s*$/.exec(date) ?? [];
  const iso = `${year}-${month}-${day}`;
  const parsed = new Date(`${iso}T00:00:00Z`);
  // JavaScript takes February 30 for a day in March
  if (Number.isNaN(parsed.getTime()) || !parsed.toISOString().startsWith(iso)) return date;
  // of the patient's calendar, wherever the reader is
  return dateFormat({ dateStyle: 'medium', timeZone: 'UTC' }).format(parsed);
}

/** A time of DICOM (`134501.5`) or ISO 8601 (`13:45:01.5`), to the minute or (`medium`) to the second, as formatDate. */
export function formatTime(time: string | null | undefined, timeStyle: 'short' | 'medium' = 'short'): string {
  if (!time) return '';
  const [, hours, minutes, seconds = '00'] = TIME.exec(time) ?? [];
  const parsed = Date.parse(`2000-01-01T${hours}:${minutes}:${seconds}Z`);
  return Number.isNaN(parsed) ? time : dateFormat({ timeStyle, timeZone: 'UTC' }).format(parsed);
}

/** The value of a DICOM attribute: days and times of day as above; others, and what is none, as they are. */
export function formatValue(keyword: string, value: string): string {
  if (keyword.endsWith('Date')) return formatDate(value);
  return TIMES_OF_DAY.test(keyword) ? formatTime(value, 'medium') : value;
}

/** A name of DICOM (`Hong^Gildong=洪^吉洞`) in one line: its groups, without the delimiters of their components. */
export function formatName(name: string): string {
  const groups = name.split('=').map((group) => group.replaceAll(/\^+/g, ' ').trim());
  return groups.filter(Boolean).join(' · ');
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
