import { Modal } from '@mantine/core';
import { useTranslation } from 'react-i18next';

import classes from './KeyList.module.css';

/** What keys, mouse and fingers do. */
export function KeyList({ opened, onClose, title }: { opened: boolean; onClose: () => void; title: string }) {
  const { t } = useTranslation('viewer');
  const rows: [keys: string[], text: string][] = [
    [['↑', '↓'], t('keyList.scroll')],
    [[t('keyList.pageUp'), t('keyList.pageDown')], t('keyList.scrollFast')],
    [[t('keyList.home'), t('keyList.end')], t('keyList.ends')],
    [['W', 'S', 'Z', 'P'], t('keyList.tools')],
    [['L', 'A', 'E', 'V'], t('keyList.measure')],
    [['1', '…', '9'], t('keyList.presets')],
    [['I', 'R', 'M'], t('keyList.change')],
    [['+', '−'], t('tools.zoom')],
    [['Esc'], t('keyList.reset')],
    [[t('keyList.space')], t('keyList.cine')],
    [['G'], t('keyList.layout')],
    [['T', 'C'], t('keyList.planes')],
    [['N'], t('keyList.panes')],
    [['X'], t('keyList.sync')],
    [[t('keyList.deleteKey')], t('keyList.delete')],
    [['?'], t('keyList.help')],
  ];
  const gestures: [gesture: string, text: string][] = [
    [t('keyList.wheel'), t('keyList.wheelText')],
    [t('keyList.left'), t('keyList.leftText')],
    [t('keyList.right'), t('keyList.rightText')],
    [t('keyList.middle'), t('keyList.middleText')],
  ];
  return (
    <Modal opened={opened} onClose={onClose} title={title} closeButtonProps={{ 'aria-label': t('close') }} size="lg">
      <dl className={classes.list}>
        {rows.map(([keys, text]) => (
          <div key={text} className={classes.row}>
            <dt>
              {keys.map((key) => (
                <kbd key={key} className={classes.key}>
                  {key}
                </kbd>
              ))}
            </dt>
            <dd>{text}</dd>
          </div>
        ))}
        {gestures.map(([gesture, text]) => (
          <div key={gesture} className={classes.row}>
            <dt>{gesture}</dt>
            <dd>{text}</dd>
          </div>
        ))}
      </dl>
    </Modal>
  );
}
