# SPDX-License-Identifier: Apache-2.0
# Programs that are measured, not shipped: bench/*.sh build and run them.
add_executable(bench_net_server EXCLUDE_FROM_ALL ${CMAKE_SOURCE_DIR}/bench/net_server.c)
target_link_libraries(bench_net_server PRIVATE ais_net ais_run ais_codec ais_base)
add_executable(bench_floor EXCLUDE_FROM_ALL ${CMAKE_SOURCE_DIR}/bench/floor.c)
add_executable(bench_fswork EXCLUDE_FROM_ALL ${CMAKE_SOURCE_DIR}/bench/fswork.c)
target_link_libraries(bench_fswork PRIVATE ais_codec ais_base Threads::Threads)
