import { Autocomplete, Button, Checkbox, CloseButton, Popover } from '@mantine/core';
import { useState } from 'react';
import { useTranslation } from 'react-i18next';

import { useSession } from '../app/session';
import { ColumnsButton } from './buttons';
import { COLUMN_NAMES, SUGGESTED_KEYWORDS, tagColumn, tagKeyword } from './columnNames';
import { columnTitle } from './columns';
import classes from './Worklist.module.css';

/** Which columns the worklist has: fields of the API, and any DICOM tags. It is open when it is first rendered. */
export default function ColumnChoice({
  columns,
  onChange,
}: {
  columns: string[];
  onChange: (columns: string[]) => void;
}) {
  const { t } = useTranslation('worklist');
  const { server } = useSession();
  const [keyword, setKeyword] = useState('');
  const tags = columns.filter((name) => tagKeyword(name) !== null);
  const offered = COLUMN_NAMES.filter((name) => name !== 'labels' || server?.hasLabels);
  const added = tagKeyword(tagColumn(keyword.trim()));

  function toggle(name: string): void {
    const chosen = columns.includes(name) ? columns.filter((other) => other !== name) : [...columns, name];
    // one at least
    if (chosen.length > 0) onChange([...COLUMN_NAMES, ...tags].filter((other) => chosen.includes(other)));
  }

  function add(): void {
    if (!added) return;
    onChange([...new Set([...columns, tagColumn(added)])]);
    setKeyword('');
  }

  return (
    <Popover defaultOpened width={300} position="bottom-end" withArrow shadow="md" trapFocus>
      <Popover.Target>
        <ColumnsButton />
      </Popover.Target>
      <Popover.Dropdown aria-label={t('columns')}>
        <ul className={classes.choices}>
          {offered.map((name) => (
            <li key={name}>
              <Checkbox
                size="xs"
                label={columnTitle(name, t)}
                checked={columns.includes(name)}
                onChange={() => toggle(name)}
              />
            </li>
          ))}
          {tags.map((name) => (
            <li key={name} className={classes.choice}>
              {columnTitle(name, t)}
              <CloseButton
                size="sm"
                aria-label={t('remove', { name: columnTitle(name, t) })}
                onClick={() => onChange(columns.filter((other) => other !== name))}
              />
            </li>
          ))}
        </ul>
        <form
          className={classes.form}
          onSubmit={(event) => {
            event.preventDefault();
            add();
          }}
        >
          <Autocomplete
            size="xs"
            label={t('addTag')}
            description={t('addTagHint')}
            data={SUGGESTED_KEYWORDS}
            limit={8}
            value={keyword}
            onChange={setKeyword}
            comboboxProps={{ withinPortal: false }}
          />
          <Button size="xs" type="submit" disabled={!added}>
            {t('add')}
          </Button>
        </form>
      </Popover.Dropdown>
    </Popover>
  );
}
