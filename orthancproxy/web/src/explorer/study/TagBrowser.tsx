import { Button, CloseButton, TextInput, UnstyledButton } from '@mantine/core';
import { useDebouncedValue } from '@mantine/hooks';
import { IconChevronDown, IconChevronRight, IconSearch } from '@tabler/icons-react';
import { useVirtualizer } from '@tanstack/react-virtual';
import { useMemo, useRef, useState } from 'react';
import { useTranslation } from 'react-i18next';

import { ErrorMessage } from '../app/ErrorMessage';
import { Loading } from '../app/Loading';
import { formatNumber } from '../i18n/format';
import { type AttributeRow, attributeRows, visibleRows } from './attributes';
import { keywordIn, useDictionary } from './dictionary';
import { type InstanceUids, useMetadata } from './metadata';
import classes from './TagBrowser.module.css';

const ROW_PX = 32;
const TYPING_MS = 150;
/** Longer values are cut until they are wanted whole: a lookup table has megabytes. */
const SHOWN_CHARACTERS = 300;

/** All tags of an instance, in a tree that can be searched. */
export function TagBrowser({ uids }: { uids: InstanceUids }) {
  const { dataset, error, retry } = useMetadata(uids);
  const dictionary = useDictionary();
  const rows = useMemo(
    () => dataset && attributeRows(dataset, (tag) => (dictionary ? keywordIn(dictionary, tag) : '')),
    [dataset, dictionary],
  );
  if (error) return <ErrorMessage error={error} retry={retry} />;
  return rows ? <TagTree rows={rows} /> : <Loading />;
}

function TagTree({ rows }: { rows: readonly AttributeRow[] }) {
  const { t } = useTranslation('study');
  const [search, setSearch] = useState('');
  const [sought] = useDebouncedValue(search, TYPING_MS);
  const [closed, setClosed] = useState<ReadonlySet<string>>(new Set());
  const scroller = useRef<HTMLDivElement>(null);
  const shown = useMemo(() => visibleRows(rows, sought, closed), [rows, sought, closed]);
  const virtualizer = useVirtualizer({
    count: shown.length,
    getScrollElement: () => scroller.current,
    estimateSize: () => ROW_PX,
    getItemKey: (index) => shown[index]?.path ?? index,
    overscan: 10,
  });

  function toggle(path: string): void {
    const changed = new Set(closed);
    if (!changed.delete(path)) changed.add(path);
    setClosed(changed);
  }

  return (
    <>
      <h3 className={classes.instance}>{instanceName(rows, t)}</h3>
      <div className={classes.search}>
        <TextInput
          value={search}
          onChange={(event) => setSearch(event.currentTarget.value)}
          aria-label={t('tags.search')}
          placeholder={t('tags.search')}
          leftSection={<IconSearch size={16} aria-hidden="true" />}
          rightSection={search && <CloseButton size="sm" aria-label={t('tags.clear')} onClick={() => setSearch('')} />}
        />
        <span role="status" className={classes.count}>
          {t('tags.count', { shown: formatNumber(shown.length), total: formatNumber(rows.length) })}
        </span>
      </div>
      {shown.length === 0 && <p className={classes.nothing}>{t('tags.nothing')}</p>}
      {/* biome-ignore lint/a11y/noNoninteractiveTabindex: what scrolls is reached with the keyboard */}
      <section ref={scroller} className={classes.scroller} tabIndex={0} aria-label={t('tags.title')}>
        <table className={classes.table} aria-rowcount={shown.length + 1}>
          <thead className={classes.head}>
            <tr className={classes.columns} aria-rowindex={1}>
              {(['tag', 'keyword', 'vr', 'value'] as const).map((column) => (
                <th key={column} scope="col">
                  {t(`tags.columns.${column}`)}
                </th>
              ))}
            </tr>
          </thead>
          <tbody className={classes.rows} style={{ height: virtualizer.getTotalSize() }}>
            {virtualizer.getVirtualItems().map(({ key, index, start }) => {
              const row = shown[index];
              return (
                row && (
                  <tr
                    key={key}
                    ref={virtualizer.measureElement}
                    data-index={index}
                    aria-rowindex={index + 2}
                    className={row.itemNumber === undefined ? classes.row : classes.item}
                    style={{ transform: `translateY(${start}px)` }}
                  >
                    <TagRow row={row} isClosed={!sought && closed.has(row.path)} onToggle={() => toggle(row.path)} />
                  </tr>
                )
              );
            })}
          </tbody>
        </table>
      </section>
    </>
  );
}

function instanceName(rows: readonly AttributeRow[], t: ReturnType<typeof useTranslation<'study'>>['t']): string {
  const number = rows.find(({ path }) => path === '/00200013')?.value;
  return number ? t('instance.name', { number }) : t('instance.unnumbered');
}

interface TagRowProps {
  row: AttributeRow;
  isClosed: boolean;
  onToggle: () => void;
}

function TagRow({ row, isClosed, onToggle }: TagRowProps) {
  const { t } = useTranslation('study');
  const name = row.itemNumber === undefined ? row.keyword || row.tag : t('tags.item', { number: row.itemNumber });
  const Chevron = isClosed ? IconChevronRight : IconChevronDown;
  return (
    <>
      <td className={classes.tag} style={{ paddingInlineStart: `${row.depth * 0.85}rem` }}>
        {row.childrenCount ? (
          <UnstyledButton
            onClick={onToggle}
            aria-expanded={!isClosed}
            aria-label={t('tags.toggle', { name })}
            className={classes.toggle}
          >
            <Chevron size={14} aria-hidden="true" />
          </UnstyledButton>
        ) : (
          <span className={classes.toggle} />
        )}
        {row.tag || name}
      </td>
      <td className={classes.keyword}>{row.keyword}</td>
      <td className={classes.vr}>{row.vr}</td>
      <td className={classes.value}>
        <TagValue row={row} />
      </td>
    </>
  );
}

function TagValue({ row }: { row: AttributeRow }) {
  const { t } = useTranslation('study');
  const [isWhole, setWhole] = useState(false);
  if (row.itemNumber !== undefined) return null;
  if (row.vr === 'SQ') {
    const count = row.childrenCount ?? 0;
    return <span className={classes.note}>{t('tags.items', { count, number: formatNumber(count) })}</span>;
  }
  if (row.isBinary) return <span className={classes.note}>{t('tags.binary')}</span>;
  if (isWhole || row.value.length <= SHOWN_CHARACTERS) return <bdi dir="auto">{row.value}</bdi>;
  return (
    <>
      <bdi dir="auto">{row.value.slice(0, SHOWN_CHARACTERS)}</bdi>…{' '}
      <Button size="compact-xs" variant="light" onClick={() => setWhole(true)}>
        {t('tags.showAll')}
      </Button>
    </>
  );
}
