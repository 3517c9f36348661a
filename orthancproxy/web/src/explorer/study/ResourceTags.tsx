import { useQuery } from '@apollo/client/react';
import { ActionIcon, Autocomplete, Text } from '@mantine/core';
import { useLocalStorage } from '@mantine/hooks';
import { IconX } from '@tabler/icons-react';
import { useMemo, useState } from 'react';
import { useTranslation } from 'react-i18next';

import { ErrorMessage } from '../app/ErrorMessage';
import { notify } from '../app/notify';
import type { Level } from '../graphql/generated/graphql';
import { loadDictionary, useDictionary } from './dictionary';
import { RESOURCE_TAGS } from './operations';
import classes from './ResourceTags.module.css';

const MAX_SUGGESTIONS = 20;

interface ResourceTagsProps {
  /** The global id of a patient, study or series. */
  id: string;
  /** The browser remembers which further tags are shown for each level. */
  level: Level;
}

/** The main DICOM tags of a resource, and any others that the user wants. */
export function ResourceTags({ id, level }: ResourceTagsProps) {
  const { t } = useTranslation('study');
  const [further, setFurther] = useLocalStorage<string[]>({
    key: `tags-${level}`,
    defaultValue: [],
    getInitialValueInEffect: false,
  });
  const { data, previousData, error, refetch } = useQuery(RESOURCE_TAGS, { variables: { id, further } });
  const shown = (data ?? previousData)?.node;
  const main = shown && 'tags' in shown ? (shown.tags as Record<string, string>) : undefined;
  const wanted = shown && 'further' in shown ? (shown.further as Record<string, string | null>) : undefined;
  return (
    <>
      {error && <ErrorMessage error={error} retry={() => void refetch()} />}
      {main && (
        <dl className={classes.tags}>
          {Object.entries(main).map(([keyword, value]) => (
            <Tag key={keyword} keyword={keyword} value={value} />
          ))}
          {Object.entries(wanted ?? {})
            .filter(([keyword]) => further.includes(keyword))
            .map(([keyword, value]) => (
              <Tag
                key={keyword}
                keyword={keyword}
                value={value}
                onRemove={() => setFurther(further.filter((one) => one !== keyword))}
              />
            ))}
        </dl>
      )}
      {main && Object.keys(main).length === 0 && <Text c="dimmed">{t('details.none')}</Text>}
      <AddTag onAdd={(keyword) => setFurther([...further.filter((one) => one !== keyword), keyword])} />
    </>
  );
}

interface TagProps {
  keyword: string;
  value: string | null;
  onRemove?: () => void;
}

function Tag({ keyword, value, onRemove }: TagProps) {
  const { t } = useTranslation('study');
  return (
    <div className={classes.tag}>
      <dt>
        {keyword}
        {onRemove && (
          <ActionIcon
            size="xs"
            variant="subtle"
            color="gray"
            onClick={onRemove}
            aria-label={t('details.remove', { keyword })}
          >
            <IconX size={12} aria-hidden="true" />
          </ActionIcon>
        )}
      </dt>
      <dd>{value ? <bdi dir="auto">{value}</bdi> : <i className={classes.empty}>{t('details.empty')}</i>}</dd>
    </div>
  );
}

function AddTag({ onAdd }: { onAdd: (keyword: string) => void }) {
  const { t } = useTranslation('study');
  const dictionary = useDictionary();
  const keywords = useMemo(() => keywordsOf(dictionary), [dictionary]);
  const [text, setText] = useState('');
  const [isUnknown, setUnknown] = useState(false);

  async function add(wanted: string): Promise<void> {
    const keyword = keywordsOf(await loadDictionary()).find((one) => one.toLowerCase() === wanted.trim().toLowerCase());
    setUnknown(keyword === undefined);
    if (!keyword) return;
    onAdd(keyword);
    setText('');
  }

  return (
    <form
      className={classes.add}
      onSubmit={(event) => {
        event.preventDefault();
        if (text.trim()) add(text).catch(notify.error);
      }}
    >
      <Autocomplete
        label={t('details.addTag')}
        placeholder={t('details.placeholder')}
        size="xs"
        data={keywords}
        limit={MAX_SUGGESTIONS}
        value={text}
        onChange={(changed) => {
          setText(changed);
          setUnknown(false);
        }}
        onOptionSubmit={(chosen) => {
          add(chosen).catch(notify.error);
          // after the component has filled in what was chosen
          queueMicrotask(() => setText(''));
        }}
        error={isUnknown && t('details.unknown')}
      />
    </form>
  );
}

/** What can be shown of a resource: keywords outside the file's meta information and repeating groups. */
function keywordsOf(dictionary: ReadonlyMap<string, string> | undefined): string[] {
  const known = [...(dictionary ?? [])].filter(([tag]) => !tag.startsWith('0002') && !tag.includes('x'));
  return [...new Set(known.map(([, keyword]) => keyword))].sort();
}
