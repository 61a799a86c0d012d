/**
 * The browser's GPU: its device, the kernels made ready, and arrays of numbers on it.
 */

import { KERNELS, textOf } from "./shaders.js";

/** An open device. */
export class Gpu {
  /**
   * @param {GPUDevice} device
   * @param {Record<string, GPUComputePipeline>} pipelines by the names of `KERNELS`
   */
  constructor(device, pipelines) {
    this.device = device;
    this.pipelines = pipelines;
    /** What went wrong, for good; null while all is well. */
    this.trouble = null;
    /** Resolves once the device is gone. */
    this.lost = device.lost.then(({ message }) => {
      this.trouble ??= `the GPU was lost: ${message}`;
    });
    device.addEventListener("uncapturederror", (event) => {
      event.preventDefault(); // it is told in another way
      this.trouble ??= event.error.message;
    });
  }

  /**
   * An array of numbers.
   * @param {number} length
   * @param {number} [usage] beside storage, from which one may copy
   * @returns {GPUBuffer}
   */
  array(length, usage = 0) {
    const { COPY_SRC, STORAGE } = GPUBufferUsage;
    return this.device.createBuffer({ size: 4 * length, usage: STORAGE | COPY_SRC | usage });
  }

  /**
   * The same, with numbers in it.
   * @param {Float32Array} numbers
   * @returns {GPUBuffer}
   */
  filled(numbers) {
    const usage = GPUBufferUsage.STORAGE;
    const buffer = this.device.createBuffer({ size: numbers.byteLength, usage, mappedAtCreation: true });
    new Float32Array(buffer.getMappedRange()).set(numbers);
    buffer.unmap();
    return buffer;
  }

  /** Give the device back. */
  close() {
    this.device.destroy();
  }
}

/**
 * The GPU of this browser, with all kernels ready; null where it has none for us.
 * @param {"gpu" | null} wanted null for a GPU that can be faster than JavaScript: none in software
 * @returns {Promise<Gpu | null>}
 * @throws {Error} it has one that cannot be used
 */
export async function openGpu(wanted) {
  const adapter = await globalThis.navigator?.gpu?.requestAdapter();
  if (!adapter || (adapter.info?.isFallbackAdapter && wanted !== "gpu")) return null;
  const { maxBufferSize, maxStorageBufferBindingSize } = adapter.limits;
  const device = await adapter.requestDevice({ requiredLimits: { maxBufferSize, maxStorageBufferBindingSize } });
  try {
    const made = Object.entries(KERNELS).map(async ([name, kernel]) => {
      const module = device.createShaderModule({ code: textOf(kernel) });
      return [name, await device.createComputePipelineAsync({ layout: "auto", compute: { module } })];
    });
    return new Gpu(device, Object.fromEntries(await Promise.all(made)));
  } catch (error) {
    device.destroy();
    throw error;
  }
}
