import { useTranslation } from 'react-i18next';

import classes from './ChangeTable.module.css';
import { type Change, shownValues } from './changes';
import { ListTable } from './ListTable';

/** Attributes before and after a change. `nameOf` gives their names, by default the keywords. */
export function ChangeTable({
  changes,
  nameOf = (keyword) => keyword,
}: {
  changes: readonly Change[];
  nameOf?: (keyword: string) => string;
}) {
  const { t } = useTranslation('components');
  return (
    <ListTable
      columns={[
        { title: t('changes.attribute'), cell: ({ keyword }) => nameOf(keyword) },
        {
          title: t('changes.before'),
          cell: ({ before }) =>
            before.length > 0 ? before.map((value) => <Value key={value} value={value} />) : <Value value="" />,
        },
        {
          title: t('changes.after'),
          cell: ({ after }) =>
            after === null ? <span className={classes.none}>{t('changes.removed')}</span> : <Value value={after} />,
        },
      ]}
      rows={changes.map((change) => ({ ...change, ...shownValues(change), id: change.keyword }))}
    />
  );
}

function Value({ value }: { value: string }) {
  const { t } = useTranslation('components');
  return (
    <div className={value ? classes.value : classes.none}>
      <bdi dir="auto">{value || t('changes.empty')}</bdi>
    </div>
  );
}
