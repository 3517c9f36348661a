import { Table, VisuallyHidden } from '@mantine/core';
import type { ReactNode } from 'react';

import classes from './ListTable.module.css';

export interface ListColumn<Row> {
  /** In cards, it stands above the value. */
  title: string;
  cell: (row: Row) => ReactNode;
  /** The value stays in one line. */
  isMoment?: boolean;
  /** Only screen readers read the title. */
  isUntitled?: boolean;
}

interface ListTableProps<Row> {
  /** The first one says what the row is, and the last one has its buttons. */
  columns: readonly ListColumn<Row>[];
  rows: readonly Row[];
}

/** A table whose rows are cards on narrow screens. */
export function ListTable<Row extends { id: string }>({ columns, rows }: ListTableProps<Row>) {
  return (
    <Table className={classes.table} verticalSpacing="xs">
      <Table.Thead>
        <Table.Tr>
          {columns.map(({ title, isUntitled }) => (
            <Table.Th key={title}>{isUntitled ? <VisuallyHidden>{title}</VisuallyHidden> : title}</Table.Th>
          ))}
        </Table.Tr>
      </Table.Thead>
      <Table.Tbody>
        {rows.map((row) => (
          <Table.Tr key={row.id}>
            {columns.map(({ title, cell, isMoment, isUntitled }, index) => (
              <Table.Td
                key={title}
                className={isMoment ? classes.moment : undefined}
                data-label={index === 0 || isUntitled ? undefined : title}
              >
                {cell(row)}
              </Table.Td>
            ))}
          </Table.Tr>
        ))}
      </Table.Tbody>
    </Table>
  );
}
