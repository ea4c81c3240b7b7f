// Pixels from the service onto a canvas.

/** The array of an `application/x-npy` answer: {shape: [frames, height, width, channels], data: uint8}. */
export function parseNpy(buffer) {
  const view = new DataView(buffer);
  const wide = view.getUint8(6) >= 2;
  const length = wide ? view.getUint32(8, true) : view.getUint16(8, true);
  const start = wide ? 12 : 10;
  const header = new TextDecoder("latin1").decode(new Uint8Array(buffer, start, length));
  const shape = header.match(/'shape': \(([^)]*)\)/)[1].split(",").filter((part) => part.trim()).map(Number);
  if (!header.includes("'|u1'") || header.includes("'fortran_order': True")) throw new Error("an array of another kind");
  return { shape, data: new Uint8Array(buffer, start + length) };
}

/** Frames of a walk that a canvas shows one at a time. */
export class Film {
  constructor({ shape, data }) {
    [this.count, this.height, this.width, this.channels] = shape;
    this.data = data;
  }

  /** Draw the frame with this number. */
  show(canvas, number) {
    if (canvas.width !== this.width || canvas.height !== this.height) {
      canvas.width = this.width;
      canvas.height = this.height;
    }
    const { channels } = this;
    const size = this.width * this.height;
    const from = number * size * channels;
    const image = new ImageData(this.width, this.height);
    for (let pixel = 0; pixel < size; pixel += 1) {
      const at = from + pixel * channels;
      for (let channel = 0; channel < 3; channel += 1) image.data[4 * pixel + channel] = this.data[at + (channels === 1 ? 0 : channel)];
      image.data[4 * pixel + 3] = 255;
    }
    canvas.getContext("2d").putImageData(image, 0, 0);
  }
}
