import { useCallback, useEffect, useState } from 'react';
import { useTranslation } from 'react-i18next';
import { useSearchParams } from 'wouter';

import type { ImageView, PlaneView, ToolName } from './engine';
import { Header } from './Header';
import type { StudyOfViewer } from './index';
import { KeyList } from './KeyList';
import { type KeyHandler, useKeys } from './keys';
import { filled, type PanesCount, panesOf, withPanes } from './layout';
import { loadEngine } from './loadEngine';
import { Pane } from './Pane';
import { Planes } from './Planes';
import { windowsOf } from './presets';
import { SeriesList } from './SeriesList';
import { matchingIndex } from './slices';
import { Toolbar } from './Toolbar';
import { useCine } from './useCine';
import { usePlanes } from './usePlanes';
import { useViewPart } from './useViewState';
import classes from './Viewer.module.css';

/** A finger scrolls, where a mouse has a wheel for it. */
const FIRST_TOOL: ToolName = matchMedia('(pointer: coarse)').matches ? 'scroll' : 'window';

/** The series of a study side by side. Keys and buttons act on the active pane. */
export function Viewer({ study }: { study: StudyOfViewer }) {
  const { t } = useTranslation('viewer');
  const [parameters, setParameters] = useSearchParams();
  const panes = panesOf(parameters.get('series'), study.series);
  const count = panes.length as PanesCount;
  const [chosenPane, setActive] = useState(0);
  const [views, registerView] = useViews<ImageView>();
  const [planeViews, registerPlane] = useViews<PlaneView>();
  const planes = usePlanes(panes, Math.min(chosenPane, count - 1), views);
  const { active } = planes;
  const view = planes.isShown ? planeViews[planes.plane] : views[active];
  const [chosenTool, setTool] = useState<ToolName>(FIRST_TOOL);
  const tool = chosenTool === 'cross' && !planes.isShown ? FIRST_TOOL : chosenTool;
  const [isSynced, setSynced] = useState(true);
  const [isHelpOpen, setHelpOpen] = useState(false);
  const cine = useCine(view);
  const seriesOf = (orthancId: string | undefined) => study.series.find((one) => one.orthancId === orthancId);
  const ofFile = useViewPart(view, ({ image }) => image?.windows);
  const stack = views[active];
  const shownSeries = seriesOf(panes[active]);
  const windows = windowsOf(ofFile ?? [], shownSeries?.modality);

  useEffect(() => {
    // the tools are there since the first view was made
    if (view) void loadEngine().then(({ chooseTool }) => chooseTool(tool));
  }, [tool, view]);

  useEffect(() => {
    // planes need the cache for themselves
    for (const one of views) one?.prefetchInto(planes.isShown ? 0 : 1 / count);
  }, [views, count, planes.isShown]);

  useEffect(() => {
    const stack = views[active];
    if (!stack || !isSynced) return;
    let last = stack.snapshot().index;
    return stack.subscribe(() => {
      const { index } = stack.snapshot();
      if (index === last) return;
      last = index;
      for (const other of views) {
        if (!other || other === stack) continue;
        const matching = matchingIndex(stack.shownSlices, index, other.shownSlices);
        if (matching !== null) other.scrollTo(matching);
      }
    });
  }, [active, views, isSynced]);

  function show(shown: readonly string[]): void {
    setParameters({ series: shown.join(',') }, { replace: true });
  }

  function setCount(wanted: PanesCount): void {
    // the active pane is the one that stays
    const first = wanted === 1 ? [panes[active] ?? ''] : panes;
    setActive(wanted === 1 ? 0 : Math.min(active, wanted - 1));
    show(filled(withPanes(first, wanted), study.series));
  }

  useKeys([
    ['ArrowDown', () => view?.scrollBy(1)],
    ['ArrowRight', () => view?.scrollBy(1)],
    ['ArrowUp', () => view?.scrollBy(-1)],
    ['ArrowLeft', () => view?.scrollBy(-1)],
    ['PageDown', () => view?.scrollBy(10)],
    ['PageUp', () => view?.scrollBy(-10)],
    ['Home', () => view?.scrollTo(0)],
    ['End', () => view?.scrollTo(Number.MAX_SAFE_INTEGER)],
    ['w', () => setTool('window')],
    ['s', () => setTool('scroll')],
    ['z', () => setTool('zoom')],
    ['p', () => setTool('pan')],
    ['l', () => setTool('length')],
    ['a', () => setTool('angle')],
    ['e', () => setTool('ellipse')],
    ['v', () => setTool('probe')],
    ['i', () => view?.invert()],
    ['r', () => view?.rotate(90)],
    ['m', () => view?.flip()],
    ['+', () => view?.zoomBy(1.2)],
    ['-', () => view?.zoomBy(1 / 1.2)],
    ['Escape', () => view?.reset()],
    [' ', cine.toggle],
    ['x', () => setSynced(!isSynced)],
    ['g', () => setCount(count === 1 ? 2 : count === 2 ? 4 : 1)],
    ['t', planes.toggle],
    ['c', () => planes.isShown && setTool('cross')],
    ['n', () => (planes.isShown ? planes.setPlane((planes.plane + 1) % 3) : setActive((active + 1) % count))],
    ['Delete', () => void loadEngine().then(({ deleteSelected }) => deleteSelected())],
    ['Backspace', () => void loadEngine().then(({ deleteSelected }) => deleteSelected())],
    ['?', () => setHelpOpen(true)],
    ...windows.slice(0, 9).map((one, index): KeyHandler => [`${index + 1}`, () => view?.setWindow(one)]),
  ]);

  return (
    <div className={classes.viewer}>
      <Header study={study} />
      <Toolbar
        view={view}
        windows={windows}
        tool={tool}
        onTool={setTool}
        count={count}
        onCount={setCount}
        isSynced={isSynced}
        onSync={setSynced}
        planes={planes}
        cine={cine}
        onHelp={() => setHelpOpen(true)}
      />
      <SeriesList
        series={study.series}
        shown={panes}
        active={panes[active] ?? ''}
        onChoose={(orthancId) => show(panes.map((before, index) => (index === active ? orthancId : before)))}
      />
      <div className={classes.panes} data-count={count} data-covered={planes.isShown || undefined}>
        {panes.map((orthancId, index) => (
          <Pane
            // a pane keeps its canvas when it shows another series
            // biome-ignore lint/suspicious/noArrayIndexKey: panes are places, which have no other name
            key={index}
            index={index}
            study={study}
            series={seriesOf(orthancId)}
            isActive={index === active && count > 1}
            onActivate={setActive}
            onView={registerView}
          />
        ))}
      </div>
      {planes.isShown && shownSeries && stack && (
        <Planes
          key={shownSeries.id}
          study={study}
          series={shownSeries}
          stack={stack}
          active={planes.plane}
          onActivate={planes.setPlane}
          onView={registerPlane}
        />
      )}
      <KeyList opened={isHelpOpen} onClose={() => setHelpOpen(false)} title={t('keys')} />
    </div>
  );
}

/** The views that are there now, and how one is added or taken away. */
function useViews<V>(): [views: readonly (V | undefined)[], register: (index: number, view: V | undefined) => void] {
  const [views, setViews] = useState<readonly (V | undefined)[]>([]);
  const register = useCallback((index: number, view: V | undefined) => {
    setViews((before) => Object.assign([...before], { [index]: view }));
  }, []);
  return [views, register];
}
