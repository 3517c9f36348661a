import { Anchor, Button, CloseButton, Popover, Text, TextInput } from '@mantine/core';
import { useLocalStorage } from '@mantine/hooks';
import { useState } from 'react';
import { useTranslation } from 'react-i18next';
import { Link } from 'wouter';

import { worklistPath } from '../app/routes';
import { SavedButton } from './buttons';
import { formatState, type WorklistState } from './state';
import classes from './Worklist.module.css';

interface SavedSearch {
  name: string;
  query: string;
}

/** Searches that the user has named, kept in this browser with their order and columns. Open when first rendered. */
export default function SavedSearches({ state }: { state: WorklistState }) {
  const { t } = useTranslation('worklist');
  const [isOpen, setOpen] = useState(true);
  const [name, setName] = useState('');
  const [saved, setSaved] = useLocalStorage<SavedSearch[]>({
    key: 'worklist-searches',
    defaultValue: [],
    getInitialValueInEffect: false,
  });

  function save(): void {
    const search = { name: name.trim(), query: formatState(state) };
    if (!search.name) return;
    setSaved([...saved.filter((other) => other.name !== search.name), search]);
    setName('');
  }

  return (
    <Popover width={300} position="bottom-end" withArrow shadow="md" trapFocus opened={isOpen} onChange={setOpen}>
      <Popover.Target>
        <SavedButton onClick={() => setOpen(!isOpen)} />
      </Popover.Target>
      <Popover.Dropdown aria-label={t('saved')}>
        {saved.length === 0 && (
          <Text size="sm" c="dimmed">
            {t('savedNone')}
          </Text>
        )}
        <ul className={classes.choices}>
          {saved.map((search) => (
            <li key={search.name} className={classes.choice}>
              <Anchor
                component={Link}
                size="sm"
                href={worklistPath(Object.fromEntries(new URLSearchParams(search.query)))}
                onClick={() => setOpen(false)}
              >
                {search.name}
              </Anchor>
              <CloseButton
                size="sm"
                aria-label={t('remove', { name: search.name })}
                onClick={() => setSaved(saved.filter((other) => other !== search))}
              />
            </li>
          ))}
        </ul>
        <form
          className={classes.form}
          onSubmit={(event) => {
            event.preventDefault();
            save();
          }}
        >
          <TextInput
            size="xs"
            label={t('saveName')}
            value={name}
            onChange={(event) => setName(event.currentTarget.value)}
          />
          <Button size="xs" type="submit" disabled={!name.trim()}>
            {t('save')}
          </Button>
        </form>
      </Popover.Dropdown>
    </Popover>
  );
}
