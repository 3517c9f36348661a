import { useTranslation } from 'react-i18next';

import { ChangeDialog } from './ChangeDialog';
import { CorrectForm } from './CorrectForm';
import type { CorrectableLevel } from './fields';
import { MODIFY_PATIENT, MODIFY_SERIES, MODIFY_STUDY } from './operations';

const MUTATIONS = { PATIENT: MODIFY_PATIENT, STUDY: MODIFY_STUDY, SERIES: MODIFY_SERIES };

interface CorrectDialogProps {
  level: CorrectableLevel;
  /** The global id. */
  id: string;
  orthancId: string;
  opened: boolean;
  onClose: () => void;
}

/** Corrects attributes of a patient, study or series. */
export default function CorrectDialog({ level, id, orthancId, opened, onClose }: CorrectDialogProps) {
  const { t } = useTranslation('correction');
  return (
    <ChangeDialog
      opened={opened}
      onClose={onClose}
      title={t(`titles.${level}`)}
      of={t(`of.${level}`)}
      texts={{ confirm: t('correct'), open: t(`open.${level}`) }}
      mutation={MUTATIONS[level]}
      form={(step) => <CorrectForm level={level} id={id} orthancId={orthancId} {...step} />}
    />
  );
}
