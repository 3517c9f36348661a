import { Button, NativeSelect, Text, TextInput } from '@mantine/core';
import { useState } from 'react';
import { useTranslation } from 'react-i18next';

import { type Criteria, filterOf } from './criteria';
import classes from './Retrieve.module.css';

interface SearchFormProps {
  names: readonly string[];
  source: string;
  criteria: Criteria;
  isSearching: boolean;
  onSearch: (source: string, criteria: Criteria) => void;
}

/** What to search for, and where. Enter searches. */
export function SearchForm({ names, source, criteria, isSearching, onSearch }: SearchFormProps) {
  const { t } = useTranslation('retrieve');
  const [chosen, setChosen] = useState(source);
  const [wanted, setWanted] = useState(criteria);
  const [isIncomplete, setIncomplete] = useState(false);
  const field = (name: keyof Criteria) => ({
    label: t(name),
    value: wanted[name],
    maxLength: 64,
    onChange: (event: React.ChangeEvent<HTMLInputElement>) => {
      setWanted({ ...wanted, [name]: event.currentTarget.value });
      setIncomplete(false);
    },
  });

  function submit(): void {
    if (filterOf(wanted)) onSearch(chosen, wanted);
    else setIncomplete(true);
  }

  return (
    <form
      className={classes.form}
      aria-label={t('title')}
      onSubmit={(event) => {
        event.preventDefault();
        submit();
      }}
    >
      <NativeSelect
        label={t('source')}
        data={[...names]}
        value={chosen}
        onChange={({ currentTarget }) => setChosen(currentTarget.value)}
      />
      <TextInput {...field('name')} placeholder={t('nameHint')} />
      <TextInput {...field('patient')} />
      <TextInput {...field('accession')} />
      <TextInput {...field('description')} />
      <TextInput {...field('modality')} placeholder="CT" />
      <TextInput {...field('from')} type="date" max={wanted.to || undefined} />
      <TextInput {...field('to')} type="date" min={wanted.from || undefined} />
      <div className={classes.submit}>
        <Button type="submit" loading={isSearching}>
          {t('search')}
        </Button>
        {isIncomplete && (
          <Text role="alert" size="sm">
            {t('atLeastOne')}
          </Text>
        )}
      </div>
    </form>
  );
}
