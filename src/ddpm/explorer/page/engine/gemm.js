/**
 * The product of two matrices, on which all convolutions stand.
 *
 * Both are packed in panels of four rows (of the weights) and four columns (of the image), so that the inner loop
 * reads both in order and keeps 4x4 sums in registers. The sums are float64: JavaScript has no other, and rounding
 * costs nothing then.
 */

/** Rows or columns of a panel. The code below counts on 4. */
export const PANEL = 4;

/**
 * How many panels hold so many rows or columns.
 * @param {number} count
 * @returns {number}
 */
export function panels(count) {
  return (count + PANEL - 1) >> 2;
}

/**
 * A matrix (rows, columns) as panels of four rows: (ceil(rows / 4), columns, 4), with zeros in the rows that are not
 * there.
 * @param {ArrayLike<number>} matrix row by row
 * @param {number} rows
 * @param {number} columns
 * @param {Float32Array} into where to write it
 * @param {number} at from which place on
 */
export function pack(matrix, rows, columns, into, at) {
  for (let row = 0; row < rows; row++) {
    const panel = at + Math.floor(row / PANEL) * columns * PANEL + (row % PANEL);
    for (let column = 0; column < columns; column++) {
      into[panel + column * PANEL] = matrix[row * columns + column];
    }
  }
}

/**
 * C = A B, for A of `rowPanels` panels and B of `columnPanels` panels, both `depth` deep.
 * @param {Float32Array} A weights, (rowPanels, depth, 4) from `aAt` on
 * @param {number} aAt
 * @param {Float64Array} B (columnPanels, depth, 4) from 0 on
 * @param {number} bAt
 * @param {Float64Array} C (4 rowPanels, 4 columnPanels) from `cAt` on, row by row
 * @param {number} cAt
 * @param {number} rowPanels
 * @param {number} depth
 * @param {number} columnPanels
 */
export function multiply(A, aAt, B, bAt, C, cAt, rowPanels, depth, columnPanels) {
  const width = columnPanels * 4;
  for (let column = 0; column < columnPanels; column++) {
    for (let row = 0; row < rowPanels; row++) {
      let a = (aAt + row * depth * 4) | 0; // an integer for the compiler too: the loop takes half as long
      let b = (bAt + column * depth * 4) | 0;
      const end = (a + depth * 4) | 0;
      let c00 = 0, c01 = 0, c02 = 0, c03 = 0, c10 = 0, c11 = 0, c12 = 0, c13 = 0;
      let c20 = 0, c21 = 0, c22 = 0, c23 = 0, c30 = 0, c31 = 0, c32 = 0, c33 = 0;
      for (; a < end; a += 4, b += 4) {
        const x0 = B[b], x1 = B[b + 1], x2 = B[b + 2], x3 = B[b + 3];
        const w0 = A[a];
        c00 += w0 * x0; c01 += w0 * x1; c02 += w0 * x2; c03 += w0 * x3;
        const w1 = A[a + 1];
        c10 += w1 * x0; c11 += w1 * x1; c12 += w1 * x2; c13 += w1 * x3;
        const w2 = A[a + 2];
        c20 += w2 * x0; c21 += w2 * x1; c22 += w2 * x2; c23 += w2 * x3;
        const w3 = A[a + 3];
        c30 += w3 * x0; c31 += w3 * x1; c32 += w3 * x2; c33 += w3 * x3;
      }
      let c = (cAt + row * 4 * width + column * 4) | 0;
      C[c] = c00; C[c + 1] = c01; C[c + 2] = c02; C[c + 3] = c03;
      c += width;
      C[c] = c10; C[c + 1] = c11; C[c + 2] = c12; C[c + 3] = c13;
      c += width;
      C[c] = c20; C[c + 1] = c21; C[c + 2] = c22; C[c + 3] = c23;
      c += width;
      C[c] = c30; C[c + 1] = c31; C[c + 2] = c32; C[c + 3] = c33;
    }
  }
}
