import { ActionIcon, Menu } from '@mantine/core';
import {
  IconAdjustmentsAlt,
  IconAngle,
  IconArrowsMove,
  IconCircle,
  IconColorPicker,
  IconContrast,
  IconContrast2,
  IconCrosshair,
  IconCube,
  IconFlipVertical,
  IconKeyboard,
  IconLayoutColumns,
  IconLayoutGrid,
  IconLink,
  IconLinkOff,
  IconRefresh,
  IconRotateClockwise,
  IconRuler2,
  IconSquare,
  IconStack2,
  IconTrash,
  IconZoomIn,
} from '@tabler/icons-react';
import { useTranslation } from 'react-i18next';

import { formatNumber } from '../i18n/format';
import { Cine } from './Cine';
import type { NoPlanes, ToolName, View } from './engine';
import type { PanesCount } from './layout';
import { loadEngine } from './loadEngine';
import type { NamedWindow } from './presets';
import { ToolButton } from './ToolButton';
import classes from './Toolbar.module.css';
import type { CineControl } from './useCine';
import { useViewPart } from './useViewState';

const TOOLS: readonly { name: ToolName; Icon: typeof IconContrast; key: string }[] = [
  { name: 'window', Icon: IconContrast, key: 'W' },
  { name: 'scroll', Icon: IconStack2, key: 'S' },
  { name: 'zoom', Icon: IconZoomIn, key: 'Z' },
  { name: 'pan', Icon: IconArrowsMove, key: 'P' },
];
const MEASURES: readonly { name: ToolName; Icon: typeof IconContrast; key: string }[] = [
  { name: 'length', Icon: IconRuler2, key: 'L' },
  { name: 'angle', Icon: IconAngle, key: 'A' },
  { name: 'ellipse', Icon: IconCircle, key: 'E' },
  { name: 'probe', Icon: IconColorPicker, key: 'V' },
];
const CROSS = { name: 'cross', Icon: IconCrosshair, key: 'C' } as const;
const LAYOUT_BUTTONS = [
  { count: 1, name: 'one', Icon: IconSquare },
  { count: 2, name: 'two', Icon: IconLayoutColumns },
  { count: 4, name: 'four', Icon: IconLayoutGrid },
] as const;

export interface PlanesControl {
  isShown: boolean;
  /** Null if planes can be shown, undefined until that is known. */
  obstacle: NoPlanes | null | undefined;
  toggle(): void;
}

interface ToolbarProps {
  /** The active pane; undefined where it has no images. */
  view: View | undefined;
  windows: readonly NamedWindow[];
  tool: ToolName;
  onTool(tool: ToolName): void;
  count: PanesCount;
  onCount(count: PanesCount): void;
  isSynced: boolean;
  onSync(isSynced: boolean): void;
  planes: PlanesControl;
  cine: CineControl;
  onHelp(): void;
}

export function Toolbar(props: ToolbarProps) {
  const { view, windows, tool, onTool, count, onCount, isSynced, onSync, planes, cine, onHelp } = props;
  const { t } = useTranslation('viewer');
  const isInverted = useViewPart(view, (state) => state.isInverted);
  const toolButton = ({ name, Icon, key }: (typeof TOOLS)[number]) => (
    <ToolButton
      key={name}
      label={t(`tools.${name}`)}
      shortcut={key}
      isPressed={tool === name}
      onClick={() => onTool(name)}
    >
      <Icon size={20} stroke={1.7} aria-hidden="true" />
    </ToolButton>
  );
  return (
    <div className={classes.toolbar} role="toolbar" aria-label={t('toolbar')}>
      <div className={classes.group}>
        {TOOLS.map(toolButton)}
        {planes.isShown && toolButton(CROSS)}
        <Presets windows={windows} onChoose={(one) => view?.setWindow(one)} />
      </div>
      <div className={classes.group}>
        {MEASURES.map(toolButton)}
        <ToolButton
          label={t('deleteMeasurements')}
          onClick={() => void loadEngine().then(({ deleteAll }) => deleteAll())}
        >
          <IconTrash size={20} stroke={1.7} aria-hidden="true" />
        </ToolButton>
      </div>
      <div className={classes.group}>
        <ToolButton label={t('invert')} shortcut="I" isPressed={isInverted} onClick={() => view?.invert()}>
          <IconContrast2 size={20} stroke={1.7} aria-hidden="true" />
        </ToolButton>
        <ToolButton label={t('rotate')} shortcut="R" onClick={() => view?.rotate(90)}>
          <IconRotateClockwise size={20} stroke={1.7} aria-hidden="true" />
        </ToolButton>
        <ToolButton label={t('flip')} shortcut="M" onClick={() => view?.flip()}>
          <IconFlipVertical size={20} stroke={1.7} aria-hidden="true" />
        </ToolButton>
        <ToolButton label={t('reset')} shortcut="Esc" onClick={() => view?.reset()}>
          <IconRefresh size={20} stroke={1.7} aria-hidden="true" />
        </ToolButton>
      </div>
      <div className={classes.group}>
        {LAYOUT_BUTTONS.map((one) => (
          <ToolButton
            key={one.name}
            label={t(`layouts.${one.name}`)}
            isPressed={count === one.count && !planes.isShown}
            onClick={() => onCount(one.count)}
          >
            <one.Icon size={20} stroke={1.7} aria-hidden="true" />
          </ToolButton>
        ))}
        {count > 1 && !planes.isShown && (
          <ToolButton label={t('sync')} shortcut="X" isPressed={isSynced} onClick={() => onSync(!isSynced)}>
            {isSynced ? <IconLink size={20} stroke={1.7} /> : <IconLinkOff size={20} stroke={1.7} />}
          </ToolButton>
        )}
        <ToolButton
          label={t('planes.show')}
          shortcut="T"
          isPressed={planes.isShown}
          obstacle={planes.obstacle ? t(`planes.obstacle.${planes.obstacle}`) : undefined}
          isDisabled={planes.obstacle !== null}
          onClick={planes.toggle}
        >
          <IconCube size={20} stroke={1.7} aria-hidden="true" />
        </ToolButton>
      </div>
      {cine.isOffered && (
        <div className={classes.group}>
          <Cine cine={cine} />
        </div>
      )}
      <div className={classes.group}>
        <ToolButton label={t('keys')} shortcut="?" onClick={onHelp}>
          <IconKeyboard size={20} stroke={1.7} aria-hidden="true" />
        </ToolButton>
      </div>
    </div>
  );
}

/** Windows by name: those of the file, and those of the modality. */
function Presets({ windows, onChoose }: { windows: readonly NamedWindow[]; onChoose: (one: NamedWindow) => void }) {
  const { t } = useTranslation('viewer');
  return (
    <Menu position="bottom-start" shadow="md" disabled={windows.length === 0}>
      <Menu.Target>
        <ActionIcon
          size="lg"
          variant="subtle"
          color="gray"
          aria-label={t('presets')}
          title={t('presets')}
          disabled={windows.length === 0}
          className={classes.button}
        >
          <IconAdjustmentsAlt size={20} stroke={1.7} aria-hidden="true" />
        </ActionIcon>
      </Menu.Target>
      <Menu.Dropdown>
        {windows.map((one, index) => (
          <Menu.Item
            key={`${one.name ?? one.explanation} ${one.width} ${one.center}`}
            onClick={() => onChoose(one)}
            rightSection={
              <span className={classes.values}>
                {formatNumber(one.width)} / {formatNumber(one.center)}
                {index < 9 && <kbd className={classes.key}>{index + 1}</kbd>}
              </span>
            }
          >
            {one.name ? t(`preset.${one.name}`) : <bdi>{one.explanation ?? t('preset.file')}</bdi>}
          </Menu.Item>
        ))}
      </Menu.Dropdown>
    </Menu>
  );
}
