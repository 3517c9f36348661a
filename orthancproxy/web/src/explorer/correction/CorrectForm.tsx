import { useQuery } from '@apollo/client/react';
import { NativeSelect, Stack, TextInput } from '@mantine/core';
import { type KeyboardEvent, useState } from 'react';
import { useTranslation } from 'react-i18next';

import { ErrorMessage } from '../app/ErrorMessage';
import { Loading } from '../app/Loading';
import type { TagValue } from '../graphql/generated/graphql';
import { RESOURCE_TAGS } from '../study/operations';
import type { FormStep } from './ChangeDialog';
import classes from './Correction.module.css';
import { FormEnd } from './FormEnd';
import {
  type CorrectableLevel,
  changedValues,
  controlOf,
  dicomDate,
  FIELDS,
  isoDate,
  type Keyword,
  SEXES,
  type Values,
} from './fields';

/** What the three mutations have in common. */
interface Input {
  orthancId: string | number;
  replace: TagValue[];
  keepUids?: boolean;
}

interface CorrectFormProps extends FormStep<Input> {
  level: CorrectableLevel;
  id: string;
  orthancId: string;
}

/** The usual attributes of a level, with the values that they have now. */
export function CorrectForm(props: CorrectFormProps) {
  const keywords = FIELDS[props.level];
  const { data, error, refetch } = useQuery(RESOURCE_TAGS, {
    variables: { id: props.id, further: [...keywords] },
    // not those from when the page was opened
    fetchPolicy: 'network-only',
  });
  if (error) return <ErrorMessage error={error} retry={() => void refetch()} />;
  if (!data) return <Loading />;
  const further = data.node && 'further' in data.node ? (data.node.further as Record<string, string | null>) : {};
  const before: Values = Object.fromEntries(keywords.map((keyword) => [keyword, further[keyword] ?? '']));
  return <Fields {...props} before={before} />;
}

function Fields({ level, orthancId, before, given, onSubmit, ...end }: CorrectFormProps & { before: Values }) {
  const [values, setValues] = useState<Values>({
    ...before,
    ...Object.fromEntries((given?.replace ?? []).map(({ keyword, value }) => [keyword, value])),
  });
  const [keepUids, setKeepUids] = useState(given?.keepUids ?? false);
  const replace = changedValues(before, values);
  return (
    <form
      onSubmit={(event) => {
        event.preventDefault();
        if (replace.length > 0) onSubmit({ orthancId, replace, keepUids });
      }}
    >
      <Stack gap="md">
        <div className={classes.fields}>
          {FIELDS[level].map((keyword, index) => (
            <Field
              key={keyword}
              keyword={keyword}
              before={before[keyword] ?? ''}
              value={values[keyword] ?? ''}
              onChange={(value) => setValues({ ...values, [keyword]: value })}
              isFirst={index === 0}
            />
          ))}
        </div>
        <FormEnd {...end} keepUids={keepUids} onKeepUids={setKeepUids} isReady={replace.length > 0} />
      </Stack>
    </form>
  );
}

interface FieldProps {
  keyword: Keyword;
  before: string;
  value: string;
  onChange: (value: string) => void;
  isFirst: boolean;
}

function Field({ keyword, before, value, onChange, isFirst }: FieldProps) {
  const { t } = useTranslation('correction');
  const label = t(`field.${keyword}`);
  switch (controlOf(keyword, before)) {
    case 'date':
      return (
        <TextInput
          type="date"
          label={label}
          value={isoDate(value)}
          onChange={({ currentTarget }) => onChange(dicomDate(currentTarget.value))}
          onKeyDown={leaveTabToBrowser}
        />
      );
    case 'sex':
      return (
        <NativeSelect
          label={label}
          data={SEXES.map((sex) => ({ value: sex, label: t(`sex.${(sex || 'none') as 'none'}`) }))}
          value={value}
          onChange={({ currentTarget }) => onChange(currentTarget.value)}
        />
      );
    default:
      return (
        <TextInput
          label={label}
          description={keyword === 'PatientName' && t('nameHint')}
          value={value}
          onChange={({ currentTarget }) => onChange(currentTarget.value)}
          dir="auto"
          autoComplete="off"
          spellCheck={false}
          autoFocus={isFirst}
        />
      );
  }
}

/**
 * Of a field that is neither the first nor the last of a dialog.
 *
 * Mantine's focus trap looks in a timer where Tab has led from a date, and moves the focus if that is not the next
 * field. Browsers handle keys before timers: somebody who types fast on a busy page is a field further by then.
 */
function leaveTabToBrowser(event: KeyboardEvent): void {
  if (event.key === 'Tab') event.stopPropagation();
}
