"""``python -m dlsort_kernels`` compiles what is not compiled yet, and says where it lies."""

from dlsort_kernels import compiled, warm

folder = warm()
print(f"{compiled()} kernels compiled, {f'kept in {folder}' if folder else 'and kept nowhere'}")
