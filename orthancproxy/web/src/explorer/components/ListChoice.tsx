import { Group, SegmentedControl, Switch } from '@mantine/core';
import { useSearchParams } from 'wouter';

interface ListChoiceProps<Name extends string> {
  /** What the choice is about, for screen readers. */
  label: string;
  /** The parts of the list with their names; the first one is all of it. */
  parts: Readonly<Record<Name, string>>;
  /** The label of the switch that shows what is not the caller's; undefined if it is not offered. */
  everyone: string | undefined;
}

/** Which part of a list is shown, and whether that of all users; the URL holds it. */
export function useListChoice<Name extends string>(
  parts: Readonly<Record<Name, string>>,
): { shown: Name; isEveryones: boolean } {
  const [parameters] = useSearchParams();
  const names = Object.keys(parts) as [Name, ...Name[]];
  return {
    shown: names.find((name) => name === parameters.get('show')) ?? names[0],
    isEveryones: parameters.has('everyone'),
  };
}

export function ListChoice<Name extends string>({ label, parts, everyone }: ListChoiceProps<Name>) {
  const { shown, isEveryones } = useListChoice(parts);
  const [, setParameters] = useSearchParams();

  function set(name: string, value: string): void {
    setParameters((before) => {
      const next = new URLSearchParams(before);
      if (value) next.set(name, value);
      else next.delete(name);
      return next;
    });
  }

  const data = Object.entries<string>(parts).map(([value, name]) => ({ value, label: name }));
  return (
    <Group mb="md">
      <SegmentedControl
        aria-label={label}
        value={shown}
        onChange={(value) => set('show', value === data[0]?.value ? '' : value)}
        data={data}
      />
      {everyone && (
        <Switch
          label={everyone}
          checked={isEveryones}
          onChange={({ currentTarget }) => set('everyone', currentTarget.checked ? 'yes' : '')}
        />
      )}
    </Group>
  );
}
