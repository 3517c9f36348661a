import { Checkbox, Radio, Stack, TextInput } from '@mantine/core';
import { useState } from 'react';
import { useTranslation } from 'react-i18next';

import type { MoveSeriesInput, SeriesCardFragment, StudyChoiceFragment } from '../graphql/generated/graphql';
import { ChangeDialog, type FormStep } from './ChangeDialog';
import classes from './Correction.module.css';
import { FormEnd } from './FormEnd';
import type { StudyDialogProps } from './MergeDialog';
import { MovingSeries, SeriesName } from './MovingSeries';
import { OtherStudies, StudyName } from './OtherStudies';
import { MOVE_SERIES } from './operations';

const NEW = 'new';

interface MoveDialogProps extends StudyDialogProps {
  series: readonly SeriesCardFragment[];
}

/** Moves series of a study to another one of the patient, or to a new one. */
export default function MoveDialog({ opened, onClose, series, ...study }: MoveDialogProps) {
  const { t } = useTranslation('correction');
  return (
    <ChangeDialog
      opened={opened}
      onClose={onClose}
      title={t('move.title')}
      of={t('move.of')}
      texts={{ confirm: t('move.confirm'), open: t('move.open') }}
      mutation={MOVE_SERIES}
      form={(step) => (
        <OtherStudies {...study}>{(studies) => <MoveForm series={series} studies={studies} {...step} />}</OtherStudies>
      )}
      about={({ orthancIds }) => <MovingSeries studies={[study.studyOrthancId]} only={orthancIds.map(String)} />}
    />
  );
}

interface MoveFormProps extends FormStep<MoveSeriesInput> {
  series: readonly SeriesCardFragment[];
  /** Those that the series can be moved to. */
  studies: readonly StudyChoiceFragment[];
}

function MoveForm({ series, studies, given, onSubmit, ...end }: MoveFormProps) {
  const { t } = useTranslation('correction');
  const [moved, setMoved] = useState(given?.orthancIds.map(String) ?? []);
  const [target, setTarget] = useState(given ? String(given.studyOrthancId ?? NEW) : studies.length === 0 ? NEW : '');
  const [description, setDescription] = useState(given?.replace?.[0]?.value ?? '');
  const [keepUids, setKeepUids] = useState(given?.keepUids ?? false);
  const isNew = target === NEW;
  const value = description.trim();
  return (
    <form
      onSubmit={(event) => {
        event.preventDefault();
        onSubmit({
          orthancIds: moved,
          studyOrthancId: isNew ? null : target,
          replace: isNew && value ? [{ keyword: 'StudyDescription', value }] : null,
          keepUids,
        });
      }}
    >
      <Stack gap="md">
        <Checkbox.Group label={t('move.which')} value={moved} onChange={setMoved}>
          <Stack gap="xs" mt="xs" className={classes.choice}>
            {series.map((one) => (
              <Checkbox key={one.id} value={one.orthancId} label={<SeriesName series={one} />} />
            ))}
          </Stack>
        </Checkbox.Group>
        <Radio.Group label={t('move.where')} value={target} onChange={setTarget}>
          <Stack gap="xs" mt="xs">
            {studies.map((study) => (
              <Radio key={study.id} value={study.orthancId} label={<StudyName study={study} />} />
            ))}
            <Radio value={NEW} label={t('move.new')} />
          </Stack>
        </Radio.Group>
        {isNew && (
          <TextInput
            label={t('field.StudyDescription')}
            description={t('move.newHint')}
            value={description}
            onChange={({ currentTarget }) => setDescription(currentTarget.value)}
            dir="auto"
          />
        )}
        <FormEnd {...end} keepUids={keepUids} onKeepUids={setKeepUids} isReady={moved.length > 0 && target !== ''} />
      </Stack>
    </form>
  );
}
