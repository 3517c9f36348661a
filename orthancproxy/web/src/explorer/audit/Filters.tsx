import { Button, Collapse, MultiSelect, NativeSelect, TextInput } from '@mantine/core';
import { useDisclosure } from '@mantine/hooks';
import { IconFilter, IconX } from '@tabler/icons-react';
import { type KeyboardEvent, useEffect, useState } from 'react';
import { useTranslation } from 'react-i18next';
import classes from './Audit.module.css';
import { KINDS, OUTCOMES, PARAMETERS } from './filter';

type Name = (typeof PARAMETERS)[number];

interface FiltersProps {
  parameters: URLSearchParams;
  onChange: (parameters: URLSearchParams) => void;
}

const MORE = ['study', 'operation', 'target', 'request', 'address'] as const;

export function Filters({ parameters, onChange }: FiltersProps) {
  const { t } = useTranslation('audit');
  const [opened, { toggle }] = useDisclosure(MORE.some((name) => parameters.get(name)));

  function set(name: Name, ...values: string[]) {
    const next = new URLSearchParams(parameters);
    next.delete(name);
    for (const value of values) if (value) next.append(name, value);
    onChange(next);
  }
  const input = (name: Exclude<Name, 'event' | 'outcome'>, type: 'text' | 'date' = 'text') => (
    <FilterInput
      key={name}
      label={t(`parameter.${name}`)}
      type={type}
      value={parameters.get(name) ?? ''}
      onCommit={(value) => set(name, value)}
    />
  );

  return (
    <search aria-label={t('filters')}>
      <div className={classes.filters}>
        <MultiSelect
          size="xs"
          label={t('parameter.event')}
          placeholder={parameters.has('event') ? undefined : t('anyEvent')}
          data={KINDS.map((kind) => ({ value: kind, label: t(`event.${kind}`) }))}
          value={parameters.getAll('event')}
          onChange={(values) => set('event', ...values)}
          clearable
        />
        <NativeSelect
          size="xs"
          label={t('parameter.outcome')}
          value={parameters.get('outcome') ?? ''}
          onChange={({ currentTarget }) => set('outcome', currentTarget.value)}
          data={[
            { value: '', label: t('anyOutcome') },
            ...OUTCOMES.map((outcome) => ({ value: outcome, label: t(`outcome.${outcome}`) })),
          ]}
        />
        {input('user')}
        {input('patient')}
        {input('from', 'date')}
        {input('to', 'date')}
      </div>
      <Collapse expanded={opened}>
        <div className={`${classes.filters} ${classes.further}`}>{MORE.map((name) => input(name))}</div>
      </Collapse>
      <div className={classes.filterActions}>
        <Button
          variant="subtle"
          size="compact-sm"
          leftSection={<IconFilter size={14} />}
          onClick={toggle}
          aria-expanded={opened}
        >
          {t('more')}
        </Button>
        {PARAMETERS.some((name) => parameters.has(name)) && (
          <Button
            variant="subtle"
            size="compact-sm"
            leftSection={<IconX size={14} />}
            onClick={() => onChange(new URLSearchParams())}
          >
            {t('clear')}
          </Button>
        )}
      </div>
    </search>
  );
}

interface FilterInputProps {
  label: string;
  type: 'text' | 'date';
  value: string;
  onCommit: (value: string) => void;
}

/** Commits with Enter and when the focus leaves, not with each key: each reading of the log is an event in it. */
function FilterInput({ label, type, value, onCommit }: FilterInputProps) {
  const [text, setText] = useState(value);
  useEffect(() => setText(value), [value]);
  const commit = (given = text) => given.trim() !== value && onCommit(given.trim());
  return (
    <TextInput
      size="xs"
      label={label}
      type={type}
      value={text}
      dir="auto"
      onChange={({ currentTarget }) => {
        setText(currentTarget.value);
        // a day is chosen at once, except while its year is being typed
        if (type === 'date' && (!currentTarget.value || currentTarget.value > '1990')) commit(currentTarget.value);
      }}
      onBlur={() => commit()}
      onKeyDown={({ key }: KeyboardEvent) => key === 'Enter' && commit()}
    />
  );
}
