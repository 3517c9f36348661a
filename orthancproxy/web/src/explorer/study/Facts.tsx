import classes from './Facts.module.css';

export type Fact = readonly [label: string, value: string | null | undefined];

/** Labelled values side by side; those that are empty are left out. */
export function Facts({ facts }: { facts: readonly Fact[] }) {
  const known = facts.filter(([, value]) => value?.trim());
  if (known.length === 0) return null;
  return (
    <dl className={classes.facts}>
      {known.map(([label, value]) => (
        <div key={label}>
          <dt>{label}</dt>
          <dd>
            <bdi dir="auto">{value}</bdi>
          </dd>
        </div>
      ))}
    </dl>
  );
}
