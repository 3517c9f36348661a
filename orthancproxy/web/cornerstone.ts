import type { Plugin } from 'vite';

const FORBIDDEN = "textElement.setAttribute('style', combinedStyle)";
const ALLOWED = 'textElement.style.cssText = combinedStyle';
const ABSENT = '\0absent';

/** What Cornerstone needs to run in the page. */
export function cornerstone(): Plugin {
  return {
    name: 'cornerstone',
    enforce: 'pre',
    // vtk.js reads and writes XML files with xmlbuilder2, which the viewer does not; codecs have parts for Node
    resolveId: {
      filter: { id: /^(xmlbuilder2|fs|path)$/ },
      handler: () => ABSENT,
    },
    load: {
      filter: { id: /absent$/ },
      handler: (id) => (id === ABSENT ? 'export const create = undefined; export default {};' : undefined),
    },
    // labels of measurements: the page's content security policy (`style-src 'self'`) forbids attributes of style
    transform: {
      filter: { id: /@cornerstonejs\/tools\/.*\/drawTextBox\.js/ },
      handler(code) {
        if (!code.includes(FORBIDDEN)) throw new Error('Cornerstone labels measurements in another way than before.');
        return code.replace(FORBIDDEN, ALLOWED);
      },
    },
  };
}
