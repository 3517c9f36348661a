import { Button, MultiSelect, NativeSelect, TagsInput, TextInput, Title } from '@mantine/core';
import { useDebouncedCallback, useDisclosure } from '@mantine/hooks';
import { IconFilter, IconFilterOff } from '@tabler/icons-react';
import { useEffect, useState } from 'react';
import { useTranslation } from 'react-i18next';

import { useSession } from '../app/session';
import { useOnDemand } from '../app/useOnDemand';
import { useKnownLabels } from '../components/labels';
import { formatNumber } from '../i18n/format';
import { ColumnsButton, SavedButton } from './buttons';
import { type Days, isFiltered, type WorklistState } from './state';
import classes from './Worklist.module.css';
import type { Page } from './worklist';

const TYPING_MS = 350;
// the modalities of PS3.3 C.7.3.1.1.1 that archives mostly hold; others can be searched by a tag
const MODALITIES =
  'CR CT DX ECG ES IO IVUS MG MR NM OCT OP OT PR PT PX RF RTDOSE RTPLAN RTSTRUCT SC SEG SM SR US XA XC'.split(' ');

interface ToolbarProps {
  state: WorklistState;
  change: (part: Partial<WorklistState>, options?: { replace: boolean }) => void;
  reset: () => void;
  list: Page | null;
  isLive: boolean;
}

/** Filters, how many studies match them, saved searches and the choice of columns. */
export function Toolbar({ state, change, reset, list, isLive }: ToolbarProps) {
  const { t } = useTranslation('worklist');
  const { server } = useSession();
  const [isOpen, filters] = useDisclosure(false);
  const [SavedSearches, loadSavedSearches] = useOnDemand(() => import('./SavedSearches'));
  const [ColumnChoice, loadColumnChoice] = useOnDemand(() => import('./ColumnChoice'));
  const total = list?.total;
  const modalities = [...new Set([...MODALITIES, ...state.modalities, ...(list?.rows[0]?.modalities ?? [])])];
  const [labelCounts, loadLabels] = useKnownLabels();
  const labels = [
    ...new Set([...labelCounts.keys(), ...(list?.rows.slice(0, 500).flatMap((row) => row.labels ?? []) ?? [])]),
  ];
  return (
    <div className={classes.toolbar}>
      <Title order={1} size="h4" id="worklist-title" className={classes.title}>
        {t('title')}
      </Title>
      <Button
        className={classes.filtersButton}
        size="xs"
        variant={isFiltered(state) ? 'light' : 'default'}
        leftSection={<IconFilter size={15} aria-hidden="true" />}
        aria-expanded={isOpen}
        onClick={filters.toggle}
      >
        {t('filters')}
      </Button>
      <search className={classes.filters} data-open={isOpen} aria-label={t('filters')}>
        <DayFilter days={state.days} onChange={(days) => change({ days })} />
        <MultiSelect
          size="xs"
          className={classes.filter}
          aria-label={t('modality')}
          placeholder={state.modalities.length ? undefined : t('modality')}
          data={modalities}
          value={state.modalities}
          onChange={(chosen) => change({ modalities: chosen })}
          searchable
          selectFirstOptionOnChange
        />
        {server?.hasLabels && (
          <TagsInput
            size="xs"
            className={classes.filter}
            aria-label={t('label')}
            placeholder={state.labels.length ? undefined : t('label')}
            data={labels.sort()}
            renderOption={({ option: { value } }) => <CountedLabel label={value} count={labelCounts.get(value)} />}
            onFocus={loadLabels}
            value={state.labels}
            onChange={(chosen) => change({ labels: chosen })}
          />
        )}
        <PatientIdFilter value={state.patientId} change={change} />
        {isFiltered(state) && (
          <Button
            size="xs"
            variant="subtle"
            leftSection={<IconFilterOff size={15} aria-hidden="true" />}
            onClick={reset}
          >
            {t('resetFilters')}
          </Button>
        )}
      </search>
      <div className={classes.end}>
        <span className={classes.live} data-live={isLive} title={t('liveHint')}>
          {t(isLive ? 'live' : 'notLive')}
        </span>
        <span className={classes.total} role="status">
          {total !== undefined && t('total', { count: total, formatted: formatNumber(total) })}
        </span>
        {SavedSearches ? <SavedSearches state={state} /> : <SavedButton onClick={loadSavedSearches} />}
        <div className={classes.columns}>
          {ColumnChoice ? (
            <ColumnChoice columns={state.columns} onChange={(columns) => change({ columns })} />
          ) : (
            <ColumnsButton onClick={loadColumnChoice} />
          )}
        </div>
      </div>
    </div>
  );
}

/** A suggestion: a label, and how many resources have it. */
function CountedLabel({ label, count }: { label: string; count: number | undefined }) {
  return (
    <span className={classes.counted}>
      <span>{label}</span>
      {count !== undefined && <span className={classes.count}>{formatNumber(count)}</span>}
    </span>
  );
}

function DayFilter({ days, onChange }: { days: Days; onChange: (days: Days) => void }) {
  const { t } = useTranslation('worklist');
  const kinds = ['any', 'today', 'week', 'range'] as const;
  const names = { any: t('anyDate'), today: t('today'), week: t('week'), range: t('range') };
  return (
    <>
      <NativeSelect
        size="xs"
        className={classes.filter}
        aria-label={t('date')}
        data={kinds.map((value) => ({ value, label: names[value] }))}
        value={days.kind}
        onChange={(event) => {
          const kind = event.currentTarget.value as Days['kind'];
          onChange(kind === 'range' ? { kind, from: '', to: '' } : { kind });
        }}
      />
      {days.kind === 'range' &&
        (['from', 'to'] as const).map((end) => (
          <TextInput
            key={end}
            type="date"
            size="xs"
            className={classes.day}
            aria-label={t(end)}
            value={days[end]}
            max={end === 'from' ? days.to : undefined}
            min={end === 'to' ? days.from : undefined}
            onChange={(event) => onChange({ ...days, [end]: event.currentTarget.value })}
          />
        ))}
    </>
  );
}

function PatientIdFilter({ value, change }: { value: string; change: ToolbarProps['change'] }) {
  const { t } = useTranslation('worklist');
  const [text, setText] = useState(value);
  // the blank after a word is not in the URL
  useEffect(() => setText((typed) => (typed.trim() === value ? typed : value)), [value]);
  const commit = useDebouncedCallback((patientId: string) => change({ patientId }, { replace: true }), TYPING_MS);
  return (
    <TextInput
      size="xs"
      className={classes.filter}
      aria-label={t('patientIdFilter')}
      placeholder={t('patientIdFilter')}
      value={text}
      onChange={(event) => {
        setText(event.currentTarget.value);
        commit(event.currentTarget.value);
      }}
    />
  );
}
