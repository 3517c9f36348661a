import { CloseButton, TextInput } from '@mantine/core';
import { useDebouncedCallback, useHotkeys } from '@mantine/hooks';
import { IconSearch } from '@tabler/icons-react';
import { useEffect, useRef, useState } from 'react';
import { useTranslation } from 'react-i18next';
import { useLocation, useSearchParams } from 'wouter';

import { patterns, worklistPath } from './routes';
import classes from './SearchBox.module.css';

const TYPING_MS = 250;

/**
 * Searches studies. On the worklist, the parameter `search` of its URL follows what is typed, and its filters stay;
 * elsewhere, Enter leads to the worklist. `/` focuses it.
 */
export function SearchBox() {
  const { t } = useTranslation('app');
  const [location, navigate] = useLocation();
  const [parameters] = useSearchParams();
  const isOnWorklist = location === patterns.worklist;
  const current = isOnWorklist ? (parameters.get('search') ?? '') : '';
  const [text, setText] = useState(current);
  const input = useRef<HTMLInputElement>(null);
  useHotkeys([['/', () => input.current?.focus()]]);
  // the blank after a word is not in the URL
  useEffect(() => setText((typed) => (typed.trim() === current ? typed : current)), [current]);

  function search(wanted: string, options?: { replace: boolean }): void {
    const kept = isOnWorklist ? Object.fromEntries(parameters) : {};
    navigate(worklistPath({ ...kept, search: wanted.trim() }), options);
  }
  const searchWhileTyping = useDebouncedCallback((wanted: string) => {
    // whoever has opened a study meanwhile stays there
    if (isOnWorklist) search(wanted, { replace: true });
  }, TYPING_MS);

  function change(wanted: string): void {
    setText(wanted);
    if (isOnWorklist) searchWhileTyping(wanted);
  }

  return (
    <search className={classes.search}>
      <form
        onSubmit={(event) => {
          event.preventDefault();
          search(text);
        }}
      >
        <TextInput
          ref={input}
          type="search"
          value={text}
          onChange={(event) => change(event.currentTarget.value)}
          aria-label={t('search.label')}
          placeholder={t('search.placeholder')}
          leftSection={<IconSearch size={16} aria-hidden="true" />}
          rightSection={text && <CloseButton size="sm" aria-label={t('search.clear')} onClick={() => change('')} />}
        />
      </form>
    </search>
  );
}
