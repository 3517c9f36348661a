import { useHotkeys, useMediaQuery } from '@mantine/hooks';
import { IconArrowDown, IconArrowUp } from '@tabler/icons-react';
import { useVirtualizer } from '@tanstack/react-virtual';
import { type CSSProperties, type KeyboardEvent, memo, useEffect, useLayoutEffect, useRef, useState } from 'react';
import { useTranslation } from 'react-i18next';
import { useLocation } from 'wouter';

import { ErrorMessage } from '../app/ErrorMessage';
import { Loading } from '../app/Loading';
import { studyPath } from '../app/routes';
import { COMPACT_COLUMNS, DEFAULT_COLUMNS, NARROW_COLUMNS } from './columnNames';
import { type Column, columnOf, columnTitle } from './columns';
import classes from './Grid.module.css';
import type { Row } from './rows';
import type { Sort } from './state';
import type { Mark, Page, Snapshot, Worklist } from './worklist';

// as in Grid.module.css
const HEADER_PX = 36;
const ROW_PX = 40;
const CARD_PX = 108;
// the next page is fetched when so many rows are left below
const ROWS_AHEAD = 100;
const CARD_COLUMNS = ['patient', 'description', 'modalities', 'patientId', 'studyDate', 'counts'].map(columnOf);

interface GridProps {
  worklist: Worklist;
  list: Page;
  snapshot: Snapshot;
  columnNames: string[];
  sort: Sort;
  onSort: (sort: Sort) => void;
  /** Whether the rows are those of the state before, while others are being read. */
  isStale: boolean;
}

/** The rows that fit on the screen, of a list of any length: a grid of ARIA with one row in the order of Tab. */
export function Grid({ worklist, list, snapshot, columnNames, sort, onSort, isStale }: GridProps) {
  const { t } = useTranslation('worklist');
  const [, navigate] = useLocation();
  const isNarrow = useMedia('(max-width: 48em)');
  const fitting = useFittingColumns(columnNames);
  const columns = isNarrow ? CARD_COLUMNS : fitting.map(columnOf);
  const scroller = useRef<HTMLDivElement>(null);
  const [activeId, setActiveId] = useState<string | null>(null);
  const takesFocus = useRef(false);
  const { rows } = list;
  const header = isNarrow ? 0 : HEADER_PX;

  const virtualizer = useVirtualizer({
    count: rows.length,
    getScrollElement: () => scroller.current,
    estimateSize: () => (isNarrow ? CARD_PX : ROW_PX),
    getItemKey: (index) => rows[index]?.id ?? index,
    overscan: 8,
    initialOffset: worklist.scrollOffset,
    scrollMargin: header,
    scrollPaddingStart: header,
    onChange: (instance) => {
      if (instance.scrollOffset !== null) worklist.scrollOffset = instance.scrollOffset;
    },
  });
  // biome-ignore lint/correctness/useExhaustiveDependencies: the heights of rows and cards differ
  useEffect(() => virtualizer.measure(), [virtualizer, isNarrow]);

  // another search begins at its top; the way back leads to where the reader was
  useLayoutEffect(() => {
    scroller.current?.scrollTo({ top: worklist.scrollOffset });
  }, [worklist]);

  const items = virtualizer.getVirtualItems();
  const lastIndex = items.at(-1)?.index ?? 0;
  const isNearEnd = lastIndex >= rows.length - ROWS_AHEAD;
  const { isLoading, error } = snapshot;
  useEffect(() => {
    if (isNearEnd && list.hasNextPage && !isLoading && !error && !isStale) void worklist.loadMore();
  }, [isNearEnd, list, isLoading, error, isStale, worklist]);

  const found = rows.findIndex((row) => row.id === activeId);
  const activeIndex = Math.max(found, 0);

  useEffect(() => {
    if (!takesFocus.current) return;
    takesFocus.current = false;
    scroller.current?.querySelector<HTMLElement>('[data-active="true"]')?.focus({ preventScroll: true });
  });

  function activate(index: number): void {
    const target = Math.min(Math.max(index, 0), rows.length - 1);
    setActiveId(rows[target]?.id ?? null);
    takesFocus.current = true;
    virtualizer.scrollToIndex(target);
  }

  function onKeyDown(event: KeyboardEvent): void {
    if (event.target instanceof HTMLButtonElement || event.ctrlKey || event.metaKey || event.altKey) return;
    const onScreen = Math.max(1, Math.floor((scroller.current?.clientHeight ?? 0) / (isNarrow ? CARD_PX : ROW_PX)) - 2);
    const targets: Record<string, number> = {
      ArrowDown: activeIndex + 1,
      ArrowUp: activeIndex - 1,
      PageDown: activeIndex + onScreen,
      PageUp: activeIndex - onScreen,
      Home: 0,
      End: rows.length - 1,
    };
    const target = targets[event.key];
    const active = rows[activeIndex];
    if (target !== undefined) activate(target);
    else if (event.key === 'Enter' && active) navigate(studyPath(active.orthancId));
    else return;
    event.preventDefault();
  }

  useHotkeys([['ArrowDown', () => document.activeElement === document.body && activate(activeIndex)]]);

  // the row in the order of Tab is rendered, wherever the list was scrolled to
  const tabIndexOf = (index: number) =>
    index === activeIndex || (index === items[0]?.index && !items.some((item) => item.index === activeIndex)) ? 0 : -1;

  return (
    <div ref={scroller} className={classes.scroller} data-testid="worklist">
      {/* biome-ignore lint/a11y/useSemanticElements: a table cannot be virtualized */}
      <div
        role="grid"
        aria-label={t('title')}
        aria-rowcount={list.total + (isNarrow ? 0 : 1)}
        aria-colcount={columns.length}
        aria-busy={isLoading}
        className={`${classes.grid} ${isStale ? classes.stale : ''}`}
        style={{ '--columns': columns.map((column) => column.width).join(' ') } as CSSProperties}
        onKeyDown={onKeyDown}
      >
        {!isNarrow && <Header columns={columns} sort={sort} onSort={onSort} />}
        {/* biome-ignore lint/a11y/useSemanticElements: a table cannot be virtualized */}
        <div role="rowgroup" className={classes.rows} style={{ height: virtualizer.getTotalSize() }}>
          {items.map(({ index, start, key }) => {
            const row = rows[index];
            if (!row) return null;
            return (
              <GridRow
                key={key}
                row={row}
                rowIndex={index + (isNarrow ? 1 : 2)}
                top={start - header}
                columns={columns}
                columnKey={columns.map((column) => column.name).join()}
                mark={snapshot.marks.get(row.id)}
                tabIndex={tabIndexOf(index)}
                isActive={index === activeIndex}
                isCard={isNarrow}
                onFocus={setActiveId}
                onOpen={navigate}
              />
            );
          })}
        </div>
      </div>
      {!isStale && isLoading && list.hasNextPage && lastIndex >= rows.length - 1 && <Loading />}
      {!isStale && error && (
        <div className={classes.footer}>
          <ErrorMessage error={error} retry={() => void worklist.loadMore()} />
        </div>
      )}
    </div>
  );
}

/** The columns that the window has room for. Those that somebody has chosen are all shown: the list scrolls sideways. */
function useFittingColumns(names: string[]): string[] {
  const isWide = useMedia('(min-width: 80em)');
  const isCompact = useMedia('(min-width: 64em)');
  if (isWide || names !== DEFAULT_COLUMNS) return names;
  return isCompact ? COMPACT_COLUMNS : NARROW_COLUMNS;
}

function useMedia(query: string): boolean {
  return useMediaQuery(query, undefined, { getInitialValueInEffect: false }) ?? false;
}

function Header({ columns, sort, onSort }: { columns: Column[]; sort: Sort; onSort: (sort: Sort) => void }) {
  const { t } = useTranslation('worklist');
  return (
    // biome-ignore lint/a11y/useSemanticElements lint/a11y/useFocusableInteractive: its buttons take the focus
    <div role="row" aria-rowindex={1} className={classes.header}>
      {columns.map((column) => {
        const isSorted = column.sort?.field === sort.field;
        const direction = sort.descending ? 'descending' : 'ascending';
        const title = columnTitle(column.name, t);
        return (
          // biome-ignore lint/a11y/useSemanticElements lint/a11y/useFocusableInteractive: as above
          <div
            key={column.name}
            role="columnheader"
            aria-sort={isSorted ? direction : column.sort && 'none'}
            className={classes.cell}
          >
            {column.sort ? (
              <button type="button" className={classes.sort} onClick={() => onSort(nextSort(column, sort))}>
                {title}
                {isSorted &&
                  (sort.descending ? (
                    <IconArrowDown size={13} aria-hidden="true" />
                  ) : (
                    <IconArrowUp size={13} aria-hidden="true" />
                  ))}
              </button>
            ) : (
              title
            )}
          </div>
        );
      })}
    </div>
  );
}

function nextSort({ sort: own }: Column, sort: Sort): Sort {
  if (!own) return sort;
  if (own.field === sort.field) return { field: own.field, descending: !sort.descending };
  return { field: own.field, descending: own.descendingFirst ?? false };
}

interface GridRowProps {
  row: Row;
  rowIndex: number;
  top: number;
  columns: Column[];
  columnKey: string;
  mark: Mark | undefined;
  tabIndex: number;
  isActive: boolean;
  isCard: boolean;
  onFocus: (id: string) => void;
  onOpen: (path: string) => void;
}

const GridRow = memo(
  function GridRow({ row, rowIndex, top, columns, mark, tabIndex, isActive, isCard, onFocus, onOpen }: GridRowProps) {
    const { t } = useTranslation('worklist');
    return (
      // biome-ignore lint/a11y/useSemanticElements lint/a11y/useKeyWithClickEvents: the grid handles the keys
      <div
        role="row"
        aria-rowindex={rowIndex}
        data-active={isActive}
        data-mark={mark}
        tabIndex={tabIndex}
        className={isCard ? classes.card : classes.row}
        style={{ transform: `translateY(${top}px)` }}
        onFocus={() => onFocus(row.id)}
        onClick={(event) => {
          // links open themselves, and what is being selected is not meant to be opened
          if (!(event.target as Element).closest('a') && !getSelection()?.toString()) onOpen(studyPath(row.orthancId));
        }}
      >
        {columns.map((column) => (
          // biome-ignore lint/a11y/useSemanticElements lint/a11y/useFocusableInteractive: the row takes the focus
          <div
            key={column.name}
            role="gridcell"
            data-column={column.name}
            className={isCard ? classes.line : classes.cell}
          >
            {column.render(row)}
            {column.name === columns[0]?.name && mark && (
              <span className={classes.mark} data-mark={mark}>
                {t(mark)}
              </span>
            )}
          </div>
        ))}
      </div>
    );
  },
  (before, after) =>
    before.row === after.row &&
    before.rowIndex === after.rowIndex &&
    before.top === after.top &&
    before.columnKey === after.columnKey &&
    before.mark === after.mark &&
    before.tabIndex === after.tabIndex &&
    before.isActive === after.isActive &&
    before.isCard === after.isCard,
);
