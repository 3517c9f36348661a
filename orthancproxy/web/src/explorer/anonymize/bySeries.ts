import type { ListedInstance } from './operations';

interface SeriesWithText {
  series: ListedInstance['series'];
  count: number;
  /** Of the images, in order: `1–3, 7`; empty if they have none. */
  numbers: string;
}

/** Instances by their series, in order of the first of each. */
export function bySeries(instances: readonly ListedInstance[]): SeriesWithText[] {
  const groups = new Map<string, ListedInstance[]>();
  for (const instance of instances) {
    const group = groups.get(instance.series.id);
    if (group) group.push(instance);
    else groups.set(instance.series.id, [instance]);
  }
  return [...groups.values()].flatMap((group) => {
    const [first] = group;
    if (!first) return [];
    const numbers = group.map(({ instanceNumber }) => instanceNumber).filter((number) => number !== null);
    return [{ series: first.series, count: group.length, numbers: ranges(numbers) }];
  });
}

function ranges(numbers: readonly number[]): string {
  const found: [number, number][] = [];
  for (const number of [...new Set(numbers)].sort((a, b) => a - b)) {
    const last = found.at(-1);
    if (last && number === last[1] + 1) last[1] = number;
    else found.push([number, number]);
  }
  return found.map(([from, to]) => (from === to ? `${from}` : `${from}–${to}`)).join(', ');
}
