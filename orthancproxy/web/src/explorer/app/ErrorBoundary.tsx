import { Component, type ReactNode } from 'react';

import { ErrorMessage } from './ErrorMessage';

interface State {
  error?: Error;
}

/** Shows an error in place of a page that cannot be rendered, or whose code cannot be loaded. */
export class ErrorBoundary extends Component<{ children: ReactNode }, State> {
  override state: State = {};

  static getDerivedStateFromError(error: Error): State {
    return { error };
  }

  override render() {
    const { error } = this.state;
    // the browser remembers that a module failed to load, until the page is loaded again
    return error ? <ErrorMessage error={error} retry={() => location.reload()} /> : this.props.children;
  }
}
