import { useMutation } from '@apollo/client/react';
import { Autocomplete, Button, CloseButton, VisuallyHidden } from '@mantine/core';
import { IconTag } from '@tabler/icons-react';
import { useRef, useState } from 'react';
import { useTranslation } from 'react-i18next';

import { notify } from '../app/notify';
import { useSession } from '../app/session';
import { useKnownLabels } from '../components/labels';
import type { Level } from '../graphql/generated/graphql';
import { Labels } from './Labels';
import classes from './Labels.module.css';
import { isLabel, suggestions } from './label';
import { ADD_LABELS, REMOVE_LABELS } from './operations';

const MAX_SUGGESTIONS = 8;

interface EditableLabelsProps {
  level: Level;
  orthancId: string;
  labels: readonly string[] | null | undefined;
}

/** The labels of a resource in Orthanc, which whoever has the permission adds and removes. */
export function EditableLabels(props: EditableLabelsProps) {
  const { may, server, viewer } = useSession();
  // whoever sees patients by the labels of their studies cannot change those of the patients
  const scopes = props.level === 'PATIENT' ? (viewer?.scopes ?? []) : [];
  const isWhole = scopes.length === 0 || scopes.some(({ kind }) => kind === 'PATIENT_ID');
  if (!may('LABEL') || !server?.hasLabels || !isWhole) return <Labels labels={props.labels} />;
  return <LabelEditor {...props} />;
}

function LabelEditor({ level, orthancId, labels }: EditableLabelsProps) {
  const { t } = useTranslation('study');
  const [isAdding, setAdding] = useState(false);
  const [told, setTold] = useState('');
  const opener = useRef<HTMLButtonElement>(null);
  const [add, adding] = useMutation(ADD_LABELS);
  const [remove, removing] = useMutation(REMOVE_LABELS);
  const present = labels ?? [];
  const isBusy = adding.loading || removing.loading;

  async function addLabel(label: string): Promise<boolean> {
    try {
      await add({ variables: { level, orthancId, labels: [label] } });
      setTold(t('labelEditor.added', { label }));
      return true;
    } catch (error) {
      notify.error(error as Error);
      return false;
    }
  }

  async function removeLabel(label: string): Promise<void> {
    try {
      await remove({ variables: { level, orthancId, labels: [label] } });
      setTold(t('labelEditor.removed', { label }));
      // the button that had the focus is gone
      opener.current?.focus();
    } catch (error) {
      notify.error(error as Error);
    }
  }

  function close(): void {
    setAdding(false);
    // once it is there again
    requestAnimationFrame(() => opener.current?.focus());
  }

  return (
    <div className={classes.editor}>
      {present.length > 0 && (
        <ul className={classes.labels} aria-label={t('labels')}>
          {present.map((label) => (
            <li key={label} className={classes.removable}>
              <span>{label}</span>
              <CloseButton
                size={18}
                iconSize={12}
                radius="xl"
                disabled={isBusy}
                aria-label={t('labelEditor.remove', { label })}
                onClick={() => void removeLabel(label)}
              />
            </li>
          ))}
        </ul>
      )}
      {isAdding ? (
        <AddLabel present={present} isBusy={isBusy} onAdd={addLabel} onClose={close} />
      ) : (
        <Button
          ref={opener}
          variant="default"
          size="compact-xs"
          leftSection={<IconTag size={14} aria-hidden="true" />}
          onClick={() => setAdding(true)}
        >
          {t('labelEditor.add')}
        </Button>
      )}
      <VisuallyHidden role="status">{told}</VisuallyHidden>
    </div>
  );
}

interface AddLabelProps {
  present: readonly string[];
  isBusy: boolean;
  /** Returns whether it was added. */
  onAdd: (label: string) => Promise<boolean>;
  onClose: () => void;
}

function AddLabel({ present, isBusy, onAdd, onClose }: AddLabelProps) {
  const { t } = useTranslation('study');
  const [known, loadKnown] = useKnownLabels();
  const [text, setText] = useState('');
  const [isInvalid, setInvalid] = useState(false);

  async function submit(given: string): Promise<void> {
    const label = given.trim();
    setInvalid(!isLabel(label));
    if (isLabel(label) && (await onAdd(label))) setText('');
  }

  return (
    <form
      className={classes.form}
      onSubmit={(event) => {
        event.preventDefault();
        if (text.trim() && !isBusy) void submit(text);
      }}
      onKeyDown={(event) => {
        if (event.key === 'Escape') {
          // not the drawer around it
          event.stopPropagation();
          onClose();
        }
      }}
    >
      <Autocomplete
        size="xs"
        aria-label={t('labelEditor.name')}
        placeholder={t('labelEditor.name')}
        data={suggestions([...known.keys()], present)}
        limit={MAX_SUGGESTIONS}
        maxLength={64}
        value={text}
        data-autofocus
        autoFocus
        onFocus={loadKnown}
        onChange={(changed) => {
          setText(changed);
          setInvalid(false);
        }}
        onOptionSubmit={(chosen) => void submit(chosen)}
        error={isInvalid && t('labelEditor.invalid')}
        comboboxProps={{ withinPortal: false }}
      />
      <Button type="submit" size="xs" disabled={!text.trim()} loading={isBusy}>
        {t('labelEditor.submit')}
      </Button>
      <Button size="xs" variant="default" onClick={onClose}>
        {t('labelEditor.done')}
      </Button>
    </form>
  );
}
