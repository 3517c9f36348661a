/** Whole years between two days (`2026-01-31`); undefined where either is missing or they are in the wrong order. */
export function ageAt(birthDate: string | null | undefined, date: string | null | undefined): number | undefined {
  if (!birthDate || !date) return undefined;
  const years = Number(date.slice(0, 4)) - Number(birthDate.slice(0, 4));
  const age = date.slice(5) < birthDate.slice(5) ? years - 1 : years;
  return age >= 0 ? age : undefined;
}
